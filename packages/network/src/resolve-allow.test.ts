import { CoveError, formatIp } from '@cove/domain'
import { describe, expect, it } from 'vitest'
import { resolveAllow, type Lookup } from './resolve-allow.ts'

const signal = new AbortController().signal
const names: Readonly<Record<string, readonly string[]>> = {
  'db.test': ['10.0.0.5', 'fd12::5'],
  'loop.test': ['127.0.0.1'],
  'mapped.test': ['::ffff:10.0.0.5'],
  'empty.test': [],
  'many.test': Array.from({ length: 100 }, (_, index) => `10.0.0.${index}`),
}
const asked: string[] = []
const look: Lookup = async (name) => {
  asked.push(name)
  const found = names[name]
  if (found === undefined) throw new Error('ENOTFOUND')
  return found
}

const never: Lookup = () => new Promise(() => undefined)

describe('names in allow', () => {
  it('become the addresses that they have now, and lines for the hosts file', async () => {
    const { exceptions, hosts } = await resolveAllow(['db.test:5432', '10.1.0.0/16', 'host:80'], signal, look)
    expect(
      exceptions.map((each) => (each.kind === 'host' ? each.port : [formatIp(each.network), each.bits, each.port])),
    ).toEqual([['10.0.0.5', 32, 5432], ['fd12:0:0:0:0:0:0:5', 128, 5432], ['10.1.0.0', 16, undefined], 80])
    expect(hosts).toEqual(['10.0.0.5 db.test', 'fd12::5 db.test'])
  })

  it('are looked up once however many ports are allowed', async () => {
    asked.length = 0
    const { exceptions } = await resolveAllow(['db.test:1', 'db.test:2'], signal, look)
    expect([asked, exceptions.length]).toEqual([['db.test'], 4])
  })

  it('have no more addresses than one service has', async () => {
    expect((await resolveAllow(['many.test:1'], signal, look)).exceptions).toHaveLength(16)
  })

  it.each(['nothing.test', 'empty.test', 'loop.test', 'mapped.test'])(
    'are refused when they lead nowhere: %s',
    async (name) => {
      await expect(resolveAllow([`${name}:1`], signal, look)).rejects.toMatchObject({
        code: 'network-unavailable',
        message: expect.stringContaining(name),
      })
    },
  )

  it('are not waited for by a create that was cancelled', async () => {
    const controller = new AbortController()
    const resolving = resolveAllow(['db.test:1'], controller.signal, never)
    controller.abort(new CoveError('cancelled', 'no more'))
    await expect(resolving).rejects.toMatchObject({ code: 'cancelled' })
  })
})
