import type { GuestLink } from '@cove/guest-link'
import type { Stage } from '../../src/conformance/index.ts'

/** A system call by number, with up to six arguments; the rest are 0. */
export type Call = readonly [number: number, ...args: number[]]

/**
 * Makes each call in a process of its own and prints what came of it: `errno N`, `ok`, or `signal N`. A special
 * number runs a call by the 32-bit convention instead.
 */
const PROBE = `
import ctypes, json, mmap, os, resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    if number == -32:
        # mov eax, 20 (getpid of i386); int 0x80; ret
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
        return 'ok'
    full = [ctypes.c_long(arg) for arg in (list(args) + [0] * 6)[:6]]
    ctypes.set_errno(0)
    if libc.syscall(ctypes.c_long(number), *full) != -1:
        return 'ok'
    return 'errno %d' % ctypes.get_errno()
for line in json.loads(sys.argv[1]):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, call(*line).encode())
        os._exit(0)
    os.close(write)
    said = os.read(read, 100).decode()
    os.close(read)
    _, status = os.waitpid(child, 0)
    print('signal %d' % os.WTERMSIG(status) if os.WIFSIGNALED(status) else said)
`

/** What came of each call inside. */
export async function probe(
  stage: Stage,
  link: GuestLink,
  calls: readonly Call[],
  user?: string,
): Promise<readonly string[]> {
  const { exit, stdout, stderr } = await stage.run(link, ['/usr/bin/python3', '-c', PROBE, JSON.stringify(calls)], user)
  if (exit.kind !== 'exited' || exit.code !== 0) throw new Error(`the probe failed: ${stderr}`)
  return stdout.trim().split('\n')
}
