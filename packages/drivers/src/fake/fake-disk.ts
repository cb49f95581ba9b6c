import { ROOT_USER, type FakeFiles } from '@cove/guest-link/testing'

const BLOCK = 512

/** Every file of a fake guest as a tar archive; what a real driver would leave out as unchanged is in it too. */
export function* tarOfFiles(files: FakeFiles): Generator<Uint8Array> {
  yield* walk(files.lookup('/', ROOT_USER, false), '')
  yield Buffer.alloc(2 * BLOCK)
}

type FakeNode = ReturnType<FakeFiles['lookup']>

function* walk(node: FakeNode, path: string): Generator<Uint8Array> {
  for (const [name, inner] of [...node.entries].toSorted(([one], [other]) => (one < other ? -1 : 1))) {
    const full = `${path}${name}`
    if (inner.type === 'directory') {
      yield header(`${full}/`, '5', 0, inner)
      yield* walk(inner, `${full}/`)
    } else if (inner.type === 'symlink') {
      yield header(full, '2', 0, inner)
    } else if (inner.type === 'file') {
      yield header(full, '0', inner.content.length, inner)
      yield inner.content
      yield Buffer.alloc((BLOCK - (inner.content.length % BLOCK)) % BLOCK)
    }
  }
}

function header(path: string, type: string, size: number, { mode, uid, target }: FakeNode): Buffer {
  const block = Buffer.alloc(BLOCK)
  const number = (value: number, at: number, length: number): void => {
    block.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1')
  }
  block.write(path.slice(0, 100), 0, 'latin1')
  number(mode, 100, 8)
  number(uid, 108, 8)
  number(uid, 116, 8)
  number(size, 124, 12)
  number(0, 136, 12)
  block.write(' '.repeat(8), 148, 'latin1')
  block.write(type, 156, 'latin1')
  block.write(target.slice(0, 100), 157, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  number(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    8,
  )
  return block
}
