import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Controllers that limits need. */
export const CONTROLLERS = ['memory', 'cpu', 'pids'] as const
export type Controller = (typeof CONTROLLERS)[number]

/** Where machines' folders go in one tree of cgroups. */
export interface Place {
  readonly version: 1 | 2
  readonly parent: string
  /** The tree also counts processor time. */
  readonly countsCpu?: boolean
}

/** Where this host lets us make cgroups, controller by controller: v1, v2 and hybrid hosts differ only in this. */
export interface Hierarchies {
  /** What the names of machines' folders begin with. */
  readonly prefix: string
  readonly controllers: Readonly<Record<Controller, Place | { readonly missing: string }>>
  /** In the cgroup2 tree, which freezes and counts processor time even without controllers. */
  readonly unified?: string
  /** In the v1 freezer tree. */
  readonly freezer?: string
}

export interface DetectOptions {
  readonly prefix: string
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

/** All folders are named after the installation, so that whoever finds one knows whose it is. */
export async function detectHierarchies(installation: string): Promise<Hierarchies> {
  const [mountinfo, selfCgroup] = await Promise.all([
    readFile('/proc/self/mountinfo', 'utf8'),
    readFile('/proc/self/cgroup', 'utf8'),
  ])
  return findHierarchies({ prefix: `cove-${installation}-`, mountinfo, selfCgroup })
}

/** Tries every tree at its root and, where only that is ours, in our own cgroup. Leaves nothing in them. */
export async function findHierarchies({ prefix, mountinfo, selfCgroup }: DetectOptions): Promise<Hierarchies> {
  const trees = parseTrees(mountinfo, selfCgroup)
  const first = async (controller: string): Promise<Place | { readonly missing: string } | undefined> => {
    const tree = trees.find((candidate) => candidate.version === 1 && candidate.options.includes(controller))
    if (tree === undefined) return undefined
    const found = await findParent(tree, prefix)
    if (!('parent' in found)) return { missing: found.reason }
    return { version: 1, parent: found.parent, countsCpu: tree.options.includes('cpuacct') }
  }
  const found = { memory: await first('memory'), cpu: await first('cpu'), pids: await first('pids') }
  const freezer = await first('freezer')
  const freezerParent = freezer !== undefined && 'parent' in freezer ? freezer.parent : undefined

  // Joining a cgroup2 waits for the whole kernel to take note, joining a v1 cgroup does not: where v1 has everything
  // it is used for everything.
  const wanted = freezerParent === undefined || CONTROLLERS.some((controller) => found[controller] === undefined)
  const unified = wanted ? await findUnified(trees, prefix) : undefined
  const place = (controller: Controller): Place | { readonly missing: string } => {
    const known = found[controller]
    if (known !== undefined) return known
    if (unified?.parent !== undefined && unified.enabled.includes(controller)) {
      return { version: 2, parent: unified.parent }
    }
    return { missing: unified?.reason ?? `the kernel offers no ${controller} cgroups here` }
  }
  const useless = freezerParent !== undefined && unified?.enabled.length === 0
  return {
    prefix,
    controllers: { memory: place('memory'), cpu: place('cpu'), pids: place('pids') },
    ...(unified?.parent === undefined || useless ? {} : { unified: unified.parent }),
    ...(freezerParent === undefined ? {} : { freezer: freezerParent }),
  }
}

interface Unified {
  readonly parent?: string
  readonly enabled: readonly Controller[]
  readonly reason: string
}

async function findUnified(trees: readonly Tree[], prefix: string): Promise<Unified | undefined> {
  const tree = trees.find(({ version }) => version === 2)
  if (tree === undefined) return undefined
  const found = await findParent(tree, prefix)
  if (!('parent' in found)) return { enabled: [], reason: found.reason }
  const { parent } = found
  const available = words(await read(join(parent, 'cgroup.controllers')))
  const enabled: Controller[] = []
  let reason = `the cgroup ${parent} has none of its controllers`
  for (const controller of CONTROLLERS) {
    if (!available.includes(controller)) continue
    const problem = await enable(parent, controller)
    if (problem === undefined) enabled.push(controller)
    else reason = problem
  }
  return { parent, enabled, reason }
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

async function findParent(
  tree: Tree,
  prefix: string,
): Promise<{ readonly parent: string } | { readonly reason: string }> {
  let reason = ''
  for (const parent of new Set([tree.mountPoint, join(tree.mountPoint, tree.own)])) {
    const probe = join(parent, `${prefix}probe-${randomUUID().slice(0, 8)}`)
    try {
      await mkdir(probe, { mode: 0o755 })
      await rmdir(probe)
      return { parent }
    } catch (error) {
      reason = isForbidden(error)
        ? 'the user of Cove may not make cgroups'
        : `no cgroup can be made in ${parent}: ${errorText(error)}`
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

/** The reason stands in every answer about a sandbox, so the everyday one is short. */
function isForbidden(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EPERM')
}

function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
