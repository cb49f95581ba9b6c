import { openGuestLink, type GuestLink, type GuestLinkOptions } from '@cove/guest-link'
import type { Fuse } from './fuse.ts'

/** Real links of one daemon, with steps in them, and with faults they can be given. */
export class TestLinks {
  readonly #fuse: Fuse
  /** Epochs of all sessions on this host, in the order in which they were opened. */
  readonly #epochs: number[]
  readonly tokens: Uint8Array[] = []
  readonly open: GuestLink[] = []
  beforeConfigure: () => Promise<void> = async () => {}
  /** Guests do not hear the wish to end. */
  stubborn = false

  constructor(fuse: Fuse, epochs: number[]) {
    this.#fuse = fuse
    this.#epochs = epochs
  }

  readonly openLink = async (options: GuestLinkOptions): Promise<GuestLink> => {
    this.tokens.push(options.token)
    const nextEpoch = (): number => {
      const epoch = options.nextEpoch()
      this.#epochs.push(epoch)
      return epoch
    }
    const link = await openGuestLink({ ...options, nextEpoch })
    await this.#fuse.step('hello')
    this.open.push(link)
    return this.#stepping(link)
  }

  #stepping(link: GuestLink): GuestLink {
    const configure: GuestLink['configure'] = async (identity, signal) => {
      await this.#fuse.step('configure begins')
      await this.beforeConfigure()
      await link.configure(identity, signal)
      await this.#fuse.step('configured')
    }
    const shutdown: GuestLink['shutdown'] = async (graceMs, signal) => {
      await this.#fuse.step('shutdown begins')
      if (!this.stubborn) await link.shutdown(graceMs, signal)
      await this.#fuse.step('shutdown is answered')
    }
    return new Proxy(link, {
      get(target, key) {
        if (key === 'configure') return configure
        if (key === 'shutdown') return shutdown
        const value: unknown = Reflect.get(target, key, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
}
