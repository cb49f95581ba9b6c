import type { Cove } from '@cove/sdk'
import { shortKernelId } from '../kernel/kernel-columns.ts'
import { localFiles } from './local-files.ts'
import type { Io } from '../io.ts'
import type { Candidate, LiveNames, Place } from './complete.ts'
import type { Kind } from './kinds.ts'

/** More than a person looks through. */
const MOST = 500

/** Names that are known only at this moment. What cannot be had until the signal aborts is left out. */
export function liveNames(io: Io, signal: AbortSignal): LiveNames {
  return async (kind, place) => {
    try {
      return (await namesOf(kind, place, io, signal)).slice(0, MOST)
    } catch {
      // Whoever presses Tab wants names or nothing.
      return []
    }
  }
}

async function namesOf(kind: Kind, place: Place, io: Io, signal: AbortSignal): Promise<readonly Candidate[]> {
  switch (kind) {
    case 'file':
      return localFiles(place.typed, io)
    case 'program':
      return [{ value: 'python' }, { value: 'node' }, { value: 'shell' }]
    case 'signal':
      return Object.keys((await import('@cove/sdk')).SIGNALS).map((value) => ({ value }))
    case 'context':
      return contextNames(io)
    case 'proc':
      return procNames(place, io)
    case 'kernel':
      return kernelNames(place, io)
    case 'place': {
      const here = localFiles(place.typed, io)
      // Files here need no Cove.
      const there = await connect(place, io)
        .then((cove) => places(place, cove, signal))
        .catch(() => [])
      return [...there, ...here]
    }
    default:
      return fromServer(kind, place, await connect(place, io), signal)
  }
}

/** Of this machine, without asking anybody how they are. */
async function procNames({ options, operands }: Place, io: Io): Promise<Candidate[]> {
  const { dataDir } = options
  const { loadConfig } = await import('../config/load.ts')
  const { settings } = await loadConfig({ env: io.env, flags: dataDir === undefined ? {} : { dataDir } })
  const { allProcs, procNames: names } = await import('../proc/proc-folder.ts')
  const found = await names(allProcs(settings.dataDir))
  return found.filter((name) => !operands.includes(name)).map((value) => ({ value }))
}

/** Of this machine too. */
async function kernelNames({ options, operands }: Place, io: Io): Promise<Candidate[]> {
  const { openSettingsKernels } = await import('../kernel/open-kernels.ts')
  const found = await (await openSettingsKernels(options['kernelDir'], io)).list()
  return found
    .map(({ id, version, source }) => ({ value: shortKernelId(id), about: `${version}, ${source}` }))
    .filter(({ value }) => !operands.includes(value))
}

async function contextNames(io: Io): Promise<Candidate[]> {
  const { LOCAL, readContexts } = await import('../contexts/contexts-file.ts')
  const { contexts } = await readContexts(io.env)
  return [
    ...Object.entries(contexts).map(([value, { url }]) => ({ value, about: url })),
    { value: LOCAL, about: 'the Cove of this machine' },
  ]
}

async function connect({ options }: Place, io: Io): Promise<Cove> {
  const { url, context, project } = options
  const client = await import('../client.ts')
  return client.connect(
    {
      ...(url === undefined ? {} : { url }),
      ...(context === undefined ? {} : { context }),
      ...(project === undefined ? {} : { project }),
    },
    io,
  )
}

async function fromServer(
  kind: Exclude<Kind, 'file' | 'program' | 'signal' | 'context' | 'place' | 'proc' | 'kernel'>,
  place: Place,
  cove: Cove,
  signal: AbortSignal,
): Promise<Candidate[]> {
  const sandbox = place.operands[0] ?? ''
  switch (kind) {
    case 'sandbox':
      return (await sandboxNames(cove, signal)).filter(({ value }) => !place.operands.includes(value))
    case 'process': {
      const processes = await cove.sandboxes.at(sandbox).processes.list({ signal })
      return processes.map(({ id, argv }) => ({ value: id, about: argv.join(' ') }))
    }
    case 'port': {
      const ports = await cove.sandboxes.at(sandbox).ports.list({ signal })
      return ports.map(({ port, url }) => ({ value: String(port), about: url }))
    }
    case 'key':
      return (await cove.keys.list({ signal })).map(({ id, name, role }) => ({ value: id, about: `${name} ${role}` }))
    case 'project':
      return (await cove.projects.list({ signal })).map(({ name, description }) => ({
        value: name,
        about: description,
      }))
    case 'template':
      return (await cove.templates.list({ signal })).map(({ name, tag, description, source }) => ({
        value: tag === undefined || tag === 'latest' ? name : `${name}:${tag}`,
        about: description || source,
      }))
    case 'snapshot':
      return (await cove.snapshots.list({ signal })).map(({ id, name, template, ...snapshot }) => ({
        value: name ?? id,
        about: `${snapshot.kind} of ${template}`,
      }))
    case 'volume':
      return (await cove.volumes.list({ signal })).map(({ name, id }) => ({ value: name, about: id }))
    case 'image':
      return (await cove.images.list({ signal })).map(({ id, source }) => ({ value: id, about: source }))
    case 'pool':
      return (await cove.pools.list({ signal })).map(({ name, template }) => ({ value: name, about: template }))
    case 'driver':
      return (await cove.system.status({ signal })).drivers.map(({ name, isolation }) => ({
        value: name,
        ...(isolation === undefined ? {} : { about: isolation }),
      }))
  }
}

/** Names where there are any, ids elsewhere. */
async function sandboxNames(cove: Cove, signal: AbortSignal): Promise<Candidate[]> {
  for await (const page of cove.sandboxes.list({ pageSize: MOST, signal }).pages()) {
    return page.items.map(({ id, name, state, template }) => ({
      value: name ?? id,
      about: `${state}, ${template}${name === undefined ? '' : `, ${id}`}`,
    }))
  }
  return []
}

/** `web:` while the sandbox is named, then paths inside. */
async function places({ typed }: Place, cove: Cove, signal: AbortSignal): Promise<Candidate[]> {
  const [, sandbox, path = ''] = /^([a-z0-9][a-z0-9._-]*):(.*)$/s.exec(typed) ?? []
  if (sandbox === undefined) {
    return (await sandboxNames(cove, signal)).map(({ value }) => ({ value: `${value}:`, open: true }))
  }
  const directory = path.slice(0, path.lastIndexOf('/') + 1) || '/'
  const found: Candidate[] = []
  for await (const { name, type } of cove.sandboxes.at(sandbox).files.list(directory, { signal })) {
    const open = type === 'directory'
    found.push({ value: `${sandbox}:${directory}${name}${open ? '/' : ''}`, open })
    if (found.length >= MOST) break
  }
  return found
}
