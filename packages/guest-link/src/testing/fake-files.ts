import { isUtf8 } from 'node:buffer'
import { CoveError, type Clock, type ErrorCode, type FileInfo, type FileType } from '@cove/domain'

export interface FakeUser {
  readonly name: string
  readonly uid: number
  readonly home: string
}

export interface FakeNode {
  readonly type: FileType
  mode: number
  readonly uid: number
  modifiedAt: number
  content: Buffer
  /** By name, as bytes in a latin1 string. */
  readonly entries: Map<string, FakeNode>
  readonly target: string
}

export type FakeChange = (
  kind: 'created' | 'modified' | 'removed' | 'renamed' | 'chmod',
  path: string,
  to?: string,
) => void

const MAX_LINKS = 40
export const ROOT_USER: FakeUser = { name: 'root', uid: 0, home: '/root' }
export const PLAIN_USER: FakeUser = { name: 'user', uid: 1000, home: '/home/user' }

/**
 * A tree of files in memory with owners, permission bits and symbolic links. Paths are bytes held in latin1
 * strings, so that every name the kernel takes can be told.
 */
export class FakeFiles {
  readonly #clock: Clock
  #root: FakeNode
  readonly watchers = new Set<FakeChange>()

  constructor(clock: Clock) {
    this.#clock = clock
    this.#root = this.#node('directory', 0o755, ROOT_USER)
    for (const path of ['/bin', '/dev', '/etc', '/home', '/usr', '/usr/bin']) this.makeDirectory(path, 0o755, ROOT_USER)
    this.makeDirectory('/tmp', 0o1777, ROOT_USER)
    this.makeDirectory('/root', 0o700, ROOT_USER)
    this.makeDirectory('/home/user', 0o755, PLAIN_USER, true)
    this.write(
      '/etc/passwd',
      Buffer.from('root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n'),
      ROOT_USER,
    )
    for (const name of ['null', 'zero']) this.makeOther(`/dev/${name}`)
  }

  /** The same files again, of their own. */
  copy(): FakeFiles {
    const files = new FakeFiles(this.#clock)
    files.#root = copyNode(this.#root)
    return files
  }

  lookup(path: string, user: FakeUser, follow: boolean): FakeNode {
    return this.#find(path, user, follow).node ?? fail('file-not-found', 'no such file or directory', 2)
  }

  read(path: string, user: FakeUser): FakeNode {
    const node = this.lookup(path, user, true)
    if (node.type === 'directory') fail('is-a-directory', 'is a directory', 21)
    if (node.type !== 'file') fail('invalid-argument', 'is not a regular file', 22)
    allow(node, user, 4)
    return node
  }

  /** Replaces the whole content in one step. */
  write(path: string, content: Buffer, user: FakeUser, mode = 0o644, parents = false): FakeNode {
    this.mayWrite(path, user, parents)
    const { parent, name, node: old } = this.#find(path, user, true)
    const file = old === undefined ? this.#node('file', mode, user) : { ...old, modifiedAt: this.#clock.now() }
    file.content = content
    parent.entries.set(name, file)
    this.#changed(old === undefined ? 'created' : 'modified', path)
    return file
  }

  /** Makes missing parents, and throws when a write could not begin. */
  mayWrite(path: string, user: FakeUser, parents: boolean): void {
    if (parents) this.#makeParents(path, user)
    const { parent, node } = this.#find(path, user, true)
    if (node?.type === 'directory') fail('is-a-directory', 'is a directory', 21)
    if (node?.type === 'other') fail('invalid-argument', 'is not a regular file', 22)
    allow(node ?? parent, user, 2)
  }

  makeDirectory(path: string, mode: number, user: FakeUser, asRoot = false): void {
    this.#add(path, this.#node('directory', mode, user), asRoot ? ROOT_USER : user)
  }

  makeDirectories(path: string, mode: number, user: FakeUser): void {
    this.#makeParents(path, user)
    const { node } = this.#find(path, user, true)
    if (node === undefined) this.makeDirectory(path, mode, user)
    else if (node.type !== 'directory') fail('file-exists', 'exists and is no directory', 17)
  }

  makeOther(path: string): void {
    this.#add(path, this.#node('other', 0o666, ROOT_USER), ROOT_USER)
  }

  symlink(target: string, path: string, user: FakeUser): void {
    this.#add(path, { ...this.#node('symlink', 0o777, user), target }, user)
  }

  move(from: string, to: string, user: FakeUser): void {
    const source = this.#find(from, user, false)
    const node = source.node ?? fail('file-not-found', 'no such file or directory', 2)
    const target = this.#find(to, user, false)
    if (target.node?.type === 'directory') {
      if (node.type !== 'directory') fail('is-a-directory', 'is a directory', 21)
      if (target.node.entries.size > 0) fail('directory-not-empty', 'is not empty', 39)
    }
    if (`${to}/`.startsWith(`${from}/`) && from !== to) fail('invalid-argument', 'cannot be moved into itself', 22)
    allow(source.parent, user, 2)
    allow(target.parent, user, 2)
    source.parent.entries.delete(source.name)
    target.parent.entries.set(target.name, node)
    this.#changed('renamed', from, to)
  }

  remove(path: string, recursive: boolean, user: FakeUser): void {
    const { parent, name, node } = this.#find(path, user, false)
    if (node === undefined) fail('file-not-found', 'no such file or directory', 2)
    if (node.type === 'directory' && node.entries.size > 0 && !recursive) {
      fail('directory-not-empty', 'is not empty', 39)
    }
    allow(parent, user, 2)
    parent.entries.delete(name)
    this.#changed('removed', path)
  }

  chmod(path: string, mode: number, user: FakeUser): void {
    const node = this.lookup(path, user, true)
    if (user.uid !== 0 && user.uid !== node.uid) fail('file-permission-denied', 'is not yours', 1)
    node.mode = mode
    this.#changed('chmod', path)
  }

  info(path: string, node: FakeNode): FileInfo {
    const raw = Buffer.from(path, 'latin1')
    const text = raw.toString('utf8')
    return {
      name: text.slice(text.lastIndexOf('/') + 1),
      path: text,
      ...(isUtf8(raw) ? {} : { rawPath: new Uint8Array(raw) }),
      type: node.type,
      size: node.content.length,
      mode: node.mode,
      uid: node.uid,
      gid: node.uid,
      modifiedAt: node.modifiedAt,
      ...(node.type === 'symlink' ? { symlinkTarget: Buffer.from(node.target, 'latin1').toString('utf8') } : {}),
    }
  }

  #makeParents(path: string, user: FakeUser): void {
    let at = path.indexOf('/', 1)
    while (at > 0) {
      const parent = path.slice(0, at)
      if (this.#find(parent, user, true).node === undefined) this.makeDirectory(parent, 0o755, user)
      at = path.indexOf('/', at + 1)
    }
  }

  #add(path: string, node: FakeNode, user: FakeUser): void {
    const place = this.#find(path, user, false)
    if (place.node !== undefined) fail('file-exists', 'exists already', 17)
    allow(place.parent, user, 2)
    place.parent.entries.set(place.name, node)
    this.#changed('created', path)
  }

  #find(path: string, user: FakeUser, follow: boolean): { parent: FakeNode; name: string; node: FakeNode | undefined } {
    let parts = splitPath(path)
    const above: { node: FakeNode; name: string }[] = []
    let here = this.#root
    let links = 0
    while (parts.length > 0) {
      const name = parts.shift() ?? ''
      if (here.type !== 'directory') fail('not-a-directory', 'is not a directory', 20)
      allow(here, user, 1)
      if (name === '..') {
        here = above.pop()?.node ?? this.#root
        continue
      }
      const next = here.entries.get(name)
      const last = parts.length === 0
      if (next?.type === 'symlink' && (follow || !last)) {
        links += 1
        if (links > MAX_LINKS) fail('symlink-loop', 'too many symbolic links', 40)
        if (next.target.startsWith('/')) {
          here = this.#root
          above.length = 0
        }
        parts = [...splitPath(next.target), ...parts]
        continue
      }
      if (last) return { parent: here, name, node: next }
      if (next === undefined) fail('file-not-found', 'no such file or directory', 2)
      above.push({ node: here, name })
      here = next
    }
    return { parent: above.at(-1)?.node ?? this.#root, name: above.at(-1)?.name ?? '', node: here }
  }

  #node(type: FileType, mode: number, user: FakeUser): FakeNode {
    const modifiedAt = this.#clock.now()
    return { type, mode, uid: user.uid, modifiedAt, content: Buffer.alloc(0), entries: new Map(), target: '' }
  }

  #changed(...change: Parameters<FakeChange>): void {
    for (const watcher of this.watchers) watcher(...change)
  }
}

function splitPath(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.')
}

function allow(node: FakeNode, user: FakeUser, bit: number): void {
  if (user.uid === 0) return
  const bits = node.uid === user.uid ? node.mode >> 6 : node.mode
  if ((bits & bit) === 0) fail('file-permission-denied', 'permission denied', 13)
}

export function fail(code: ErrorCode, message: string, errno: number): never {
  throw new CoveError(code, message, { errno })
}

function copyNode(node: FakeNode): FakeNode {
  const entries = new Map([...node.entries].map(([name, inner]) => [name, copyNode(inner)]))
  return { ...node, content: Buffer.from(node.content), entries }
}
