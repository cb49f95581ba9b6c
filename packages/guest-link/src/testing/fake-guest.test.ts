import { systemClock, systemRandom } from '@cove/domain/system'
import { guestConformance } from '../conformance/guest-conformance.ts'
import type { GuestHarness } from '../conformance/harness.ts'
import { FakeGuest } from './fake-guest.ts'
import { ROOT_USER } from './fake-files.ts'
import { memoryPair } from './memory-pair.ts'
import { SharedStream } from './shared-stream.ts'

function fakeHarness(singleStream: boolean): GuestHarness {
  const guest = new FakeGuest({ clock: systemClock, random: systemRandom })
  const folder = '/root/folder'
  guest.files.makeDirectory(folder, 0o755, ROOT_USER)
  guest.files.chmod('/root', 0o755, ROOT_USER)
  let shared: SharedStream | undefined
  if (singleStream) {
    const [host, inside] = memoryPair()
    guest.serve(inside, { singleStream })
    shared = new SharedStream(host, host)
  }
  return {
    singleStream,
    connect: () => (shared === undefined ? guest.connect() : shared.connect()),
    folder,
    owner: 'root',
    stranger: 'user',
    plantFile(name) {
      guest.files.write(`${folder}/${name.toString('latin1')}`, Buffer.from('x'), ROOT_USER)
      return Promise.resolve()
    },
    plantPipe() {
      guest.files.makeOther(`${folder}/pipe`)
      return Promise.resolve(`${folder}/pipe`)
    },
    echoServers() {
      guest.servers.set(8080, (stream) => stream.pipe(stream))
      guest.servers.set('/tmp/echo', (stream) => stream.pipe(stream))
      return Promise.resolve({ port: 8080, unixPath: '/tmp/echo', deadPort: 9 })
    },
    exited: guest.exited,
    [Symbol.asyncDispose]() {
      guest.stop()
      return Promise.resolve()
    },
  }
}

guestConformance('the fake guest', () => Promise.resolve(fakeHarness(false)), {
  singleStream: false,
  real: false,
  users: true,
})
guestConformance('the fake guest on a single stream', () => Promise.resolve(fakeHarness(true)), {
  singleStream: true,
  real: false,
  users: true,
})
