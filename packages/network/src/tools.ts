import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Programs that a network needs, by absolute path. */
export interface NetworkTools {
  readonly nft: string
  readonly slirp4netns: string
}

export type FoundTools =
  | { readonly found: true; readonly tools: NetworkTools }
  | { readonly found: false; readonly reason: string; readonly fix: string }

/** Fixed places, so that the caller's PATH decides nothing. */
const FOLDERS = [
  '/usr/sbin',
  '/sbin',
  '/usr/bin',
  '/bin',
  '/usr/local/sbin',
  '/usr/local/bin',
  '/run/current-system/sw/bin',
]
const TUN = '/dev/net/tun'
const VERSION_MS = 5_000

/** Looks for everything; what is missing is told together. */
export async function findTools(given: Partial<NetworkTools>): Promise<FoundTools> {
  const [nft, slirp4netns, tun] = await Promise.all([
    findProgram('nft', given.nft),
    findProgram('slirp4netns', given.slirp4netns),
    isUsable(TUN, constants.R_OK | constants.W_OK),
  ])
  const missing: string[] = []
  if (slirp4netns === undefined) missing.push('slirp4netns')
  if (nft === undefined) missing.push('nftables')
  if (nft === undefined || slirp4netns === undefined) {
    const reason = `${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} not installed`
    return {
      found: false,
      reason,
      fix: `Install with the system's package manager: ${missing.join(' ')}; or run \`cove setup\`.`,
    }
  }
  if (!tun) {
    const fix = `Make it, as root: mkdir -p /dev/net; mknod ${TUN} c 10 200; chmod 666 ${TUN}; in a container, pass the device in.`
    return { found: false, reason: `${TUN} cannot be opened`, fix }
  }
  return { found: true, tools: { nft, slirp4netns } }
}

/** As they tell it, for people: `slirp4netns 1.2.0, nftables 1.0.6`. */
export async function describeTools(tools: NetworkTools): Promise<string> {
  const both = [version(tools.slirp4netns, 'slirp4netns'), version(tools.nft, 'nftables')]
  return (await Promise.all(both)).join(', ')
}

async function version(program: string, name: string): Promise<string> {
  const { stdout } = await run(program, ['--version'], { env: {}, timeout: VERSION_MS }).catch(() => ({ stdout: '' }))
  const found = /\d+(?:\.\d+)+/.exec(stdout)?.[0]
  return found === undefined ? name : `${name} ${found}`
}

async function findProgram(name: string, given: string | undefined): Promise<string | undefined> {
  for (const path of given === undefined ? FOLDERS.map((folder) => join(folder, name)) : [given]) {
    if (await isUsable(path, constants.X_OK)) return path
  }
  return undefined
}

function isUsable(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  )
}
