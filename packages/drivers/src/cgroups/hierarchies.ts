import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Controllers that limits need. */
export const CONTROLLERS = ['memory', 'cpu', 'pids'] as const
export type Controller = (typeof CONTROLLERS)[number]

/** A folder of ours in one tree of cgroups; machines get a folder each inside it. */
export interface Place {
  readonly version: 1 | 2
  readonly base: string
  /** The tree also counts processor time. */
  readonly countsCpu?: boolean
}

/** Where this host lets us make cgroups, controller by controller: v1, v2 and hybrid hosts differ only in this. */
export interface Hierarchies {
  readonly controllers: Readonly<Record<Controller, Place | { readonly missing: string }>>
  /** Our folder in the cgroup2 tree, which freezes and counts processor time even without controllers. */
  readonly unified?: string
  /** Our folder in the v1 freezer tree. */
  readonly freezer?: string
  /** Every folder that was made, for `releaseHierarchies`. */
  readonly bases: readonly string[]
}

export interface DetectOptions {
  /** Name of our folder in every tree. */
  readonly name: string
  /** Text of `/proc/self/mountinfo`. */
  readonly mountinfo: string
  /** Text of `/proc/self/cgroup`. */
  readonly selfCgroup: string
}

interface Tree {
  readonly version: 1 | 2
  readonly mountPoint: string
  readonly options: readonly string[]
  /** Own cgroup as a path below the mount point. */
  readonly own: string
}

export async function detectHierarchies(name: string): Promise<Hierarchies> {
  const [mountinfo, selfCgroup] = await Promise.all([
    readFile('/proc/self/mountinfo', 'utf8'),
    readFile('/proc/self/cgroup', 'utf8'),
  ])
  return prepareHierarchies({ name, mountinfo, selfCgroup })
}

/** Finds the trees and makes our folder in each, at its root or, where only that is ours, in our own cgroup. */
export async function prepareHierarchies(options: DetectOptions): Promise<Hierarchies> {
  const trees = parseTrees(options.mountinfo, options.selfCgroup)
  const bases = new Set<string>()
  const first = async (controller: string): Promise<Place | { readonly missing: string } | undefined> => {
    const tree = trees.find((candidate) => candidate.version === 1 && candidate.options.includes(controller))
    if (tree === undefined) return undefined
    const made = await makeBase(tree, options.name)
    if (!('base' in made)) return { missing: made.reason }
    bases.add(made.base)
    return { version: 1, base: made.base, countsCpu: tree.options.includes('cpuacct') }
  }
  const found = { memory: await first('memory'), cpu: await first('cpu'), pids: await first('pids') }
  const freezer = await first('freezer')
  const freezerBase = freezer !== undefined && 'base' in freezer ? freezer.base : undefined

  // Joining a cgroup2 waits for the whole kernel to take note, joining a v1 cgroup does not: where v1 has everything
  // it is used for everything.
  const wanted = freezerBase === undefined || CONTROLLERS.some((controller) => found[controller] === undefined)
  const unified = wanted ? await prepareUnified(trees, options.name) : undefined
  const place = (controller: Controller): Place | { readonly missing: string } => {
    const known = found[controller]
    if (known !== undefined) return known
    if (unified?.base !== undefined && unified.enabled.includes(controller)) return { version: 2, base: unified.base }
    return { missing: unified?.reason ?? `the kernel offers no ${controller} cgroups here` }
  }
  const controllers = { memory: place('memory'), cpu: place('cpu'), pids: place('pids') }
  const useless = freezerBase !== undefined && unified?.enabled.length === 0
  if (unified?.base !== undefined) {
    if (useless) await rmdir(unified.base).catch(() => undefined)
    else bases.add(unified.base)
  }
  return {
    controllers,
    bases: [...bases],
    ...(unified?.base === undefined || useless ? {} : { unified: unified.base }),
    ...(freezerBase === undefined ? {} : { freezer: freezerBase }),
  }
}

/** Removes our folders again where no machine is left in them. */
export async function releaseHierarchies(hierarchies: Hierarchies): Promise<void> {
  for (const base of hierarchies.bases) await rmdir(base).catch(() => undefined)
}

interface Unified {
  readonly base?: string
  readonly enabled: readonly Controller[]
  readonly reason: string
}

async function prepareUnified(trees: readonly Tree[], name: string): Promise<Unified | undefined> {
  const tree = trees.find(({ version }) => version === 2)
  if (tree === undefined) return undefined
  const made = await makeBase(tree, name)
  if (!('base' in made)) return { enabled: [], reason: made.reason }
  const available = words(await read(join(made.parent, 'cgroup.controllers')))
  const enabled: Controller[] = []
  let reason = `the cgroup ${made.parent} has none of its controllers`
  for (const controller of CONTROLLERS) {
    if (!available.includes(controller)) continue
    // The parent hands the controller to our folder, and our folder to the machines in it.
    const problem = (await enable(made.parent, controller)) ?? (await enable(made.base, controller))
    if (problem === undefined) enabled.push(controller)
    else reason = problem
  }
  return { base: made.base, enabled, reason }
}

async function enable(folder: string, controller: Controller): Promise<string | undefined> {
  const file = join(folder, 'cgroup.subtree_control')
  if (words(await read(file)).includes(controller)) return undefined
  try {
    await writeFile(file, `+${controller}`)
    return undefined
  } catch (error) {
    return `${controller} cannot be handed down in ${folder}: ${errorText(error)}`
  }
}

async function makeBase(
  tree: Tree,
  name: string,
): Promise<{ readonly base: string; readonly parent: string } | { readonly reason: string }> {
  const parents = [...new Set([tree.mountPoint, join(tree.mountPoint, tree.own)])]
  let reason = ''
  for (const parent of parents) {
    const base = join(parent, name)
    try {
      await mkdir(base, { mode: 0o755 }).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error
      })
      return { base, parent }
    } catch (error) {
      reason = `no cgroup can be made in ${parent}: ${errorText(error)}`
    }
  }
  return { reason }
}

/** One line of mountinfo: `36 35 98:0 /root /mount/point options fields - type source superOptions`. */
export function parseTrees(mountinfo: string, selfCgroup: string): readonly Tree[] {
  const trees: Tree[] = []
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    const [, , , root = '/', mountPoint] = before.split(' ')
    const [type, , superOptions = ''] = after.split(' ')
    if (mountPoint === undefined || (type !== 'cgroup' && type !== 'cgroup2')) continue
    const options = superOptions.split(',')
    const own = ownPath(selfCgroup, type === 'cgroup2' ? undefined : options)
    trees.push({
      version: type === 'cgroup2' ? 2 : 1,
      mountPoint: unescapeOctal(mountPoint),
      options,
      own: own.startsWith(root) ? own.slice(root.length) : own,
    })
  }
  return trees
}

/** Lines look like `4:memory:/path`, and `0::/path` for the unified tree. */
function ownPath(selfCgroup: string, options: readonly string[] | undefined): string {
  for (const line of selfCgroup.split('\n')) {
    const match = /^\d+:([^:]*):(.*)$/.exec(line)
    if (match === null) continue
    const [, names = '', path = '/'] = match
    const matches =
      options === undefined ? names === '' : names !== '' && names.split(',').every((n) => options.includes(n))
    if (matches) return path
  }
  return '/'
}

function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}

async function read(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '')
}

function words(text: string): readonly string[] {
  return text.trim().split(/\s+/)
}

function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
