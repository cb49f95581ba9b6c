import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Controllers that limits need. */
export const CONTROLLERS = ['memory', 'cpu', 'pids'] as const
export type Controller = (typeof CONTROLLERS)[number]

/** A folder of ours in one tree of cgroups; machines get a folder each inside it. */
export interface Place {
  readonly version: 1 | 2
  readonly base: string
}

/** Where this host lets us make cgroups, controller by controller: v1, v2 and hybrid hosts differ only in this. */
export interface Hierarchies {
  readonly controllers: Readonly<Record<Controller, Place | { readonly missing: string }>>
  /** Our folder in the cgroup2 tree, which freezes, kills and counts processor time even without controllers. */
  readonly unified?: string
  /** Our folder in the v1 freezer tree, only where there is no unified one. */
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
  const bases: string[] = []
  const unifiedTree = trees.find((tree) => tree.version === 2)
  const unified = unifiedTree === undefined ? undefined : await prepareUnified(unifiedTree, options.name)
  if (unified?.base !== undefined) bases.push(unified.base)

  const controllers = {} as Record<Controller, Place | { readonly missing: string }>
  for (const controller of CONTROLLERS) {
    const tree = trees.find((candidate) => candidate.version === 1 && candidate.options.includes(controller))
    if (tree !== undefined) {
      const made = await makeBase(tree, options.name)
      if ('base' in made) {
        controllers[controller] = { version: 1, base: made.base }
        if (!bases.includes(made.base)) bases.push(made.base)
      } else {
        controllers[controller] = { missing: made.reason }
      }
    } else if (unified?.base !== undefined && unified.enabled.includes(controller)) {
      controllers[controller] = { version: 2, base: unified.base }
    } else {
      controllers[controller] = { missing: unified?.reason ?? `the kernel offers no ${controller} cgroups here` }
    }
  }

  const freezerTree =
    unified?.base === undefined
      ? trees.find((tree) => tree.version === 1 && tree.options.includes('freezer'))
      : undefined
  const freezer = freezerTree === undefined ? undefined : await makeBase(freezerTree, options.name)
  const freezerBase = freezer !== undefined && 'base' in freezer ? freezer.base : undefined
  if (freezerBase !== undefined && !bases.includes(freezerBase)) bases.push(freezerBase)

  return {
    controllers,
    bases,
    ...(unified?.base === undefined ? {} : { unified: unified.base }),
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

async function prepareUnified(tree: Tree, name: string): Promise<Unified> {
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
