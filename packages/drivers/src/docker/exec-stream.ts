import { Duplex } from 'node:stream'
import type { Attached } from '@cove/docker-engine'
import { CoveError } from '@cove/domain'

const WORDS = 500

/** The stdio of a bridge as one stream; what it says on stderr becomes the reason of the stream's end. */
export function execStream(attached: Attached): Duplex {
  const source = attached.output[Symbol.asyncIterator]()
  let words = ''
  let reading = false
  const stream: Duplex = new Duplex({
    read() {
      if (reading) return
      reading = true
      pull().catch((error: unknown) => stream.destroy(CoveError.from(error, 'guest-unreachable')))
    },
    write(chunk: Uint8Array, _encoding, done) {
      void send(chunk, done)
    },
    final(done) {
      attached.closeStdin()
      done()
    },
    destroy(error, done) {
      attached[Symbol.dispose]()
      done(error)
    },
  })

  const send = async (chunk: Uint8Array, done: (error?: Error) => void): Promise<void> => {
    let failure: Error | undefined
    try {
      await attached.write(chunk)
    } catch (error) {
      failure = CoveError.from(error, 'guest-unreachable')
    }
    done(failure)
  }

  const pull = async (): Promise<void> => {
    for (;;) {
      const { done, value } = await source.next()
      if (done === true) {
        if (words === '') stream.push(null)
        else stream.destroy(new CoveError('guest-unreachable', `the guest's socket does not answer: ${words.trim()}`))
        return
      }
      if (value.stream === 'stderr') {
        words = (words + value.data.toString('utf8')).slice(0, WORDS)
        continue
      }
      if (!stream.push(value.data)) break
    }
    reading = false
  }
  return stream
}
