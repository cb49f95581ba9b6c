import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'

const SENDER = `
const { createServer } = require('node:net')
const chunk = Buffer.alloc(262144)
createServer((socket) => {
  let left = Number(process.argv[1])
  const send = () => {
    while (left > 0) {
      const part = left >= chunk.length ? chunk : chunk.subarray(0, left)
      left -= part.length
      if (!socket.write(part)) return void socket.once('drain', send)
    }
    socket.end()
  }
  send()
}).listen(0, '127.0.0.1', function () { console.log(this.address().port) })`

/** MB/s of a local TCP connection between two Node processes that do nothing else. */
export async function rawPipe(bytes: number): Promise<number> {
  const sender = spawn(process.execPath, ['-e', SENDER, String(bytes)], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    const [line] = (await once(createInterface({ input: sender.stdout }), 'line')) as [string]
    const start = performance.now()
    const socket = connect(Number(line) satisfies AddressInfo['port'], '127.0.0.1')
    let received = 0
    for await (const chunk of socket) received += (chunk as Buffer).length
    if (received !== bytes) throw new Error(`${received} of ${bytes} bytes arrived`)
    return bytes / 1e6 / ((performance.now() - start) / 1000)
  } finally {
    sender.kill()
    await once(sender, 'exit')
  }
}
