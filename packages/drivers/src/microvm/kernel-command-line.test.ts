import { expect, it } from 'vitest'
import { hostTscKhz, kernelCommandLine } from './kernel-command-line.ts'

it('ends the machine where it would wait, and tells of a panic', () => {
  for (const emulated of [true, false]) {
    const words = kernelCommandLine({ emulated }).split(' ')
    expect(words).toEqual(expect.arrayContaining(['panic=-1', 'reboot=t', 'console=ttyS0', 'loglevel=1']))
    expect(words.some((word) => word.startsWith('tsc_early_khz'))).toBe(false)
    expect(words.includes('mitigations=off')).toBe(emulated)
  }
})

it('tells the speed of the clock where the host tells it', async () => {
  expect(kernelCommandLine({ emulated: true, tscKhz: 2_500_000 })).toContain('tsc_early_khz=2500000')
  expect((await hostTscKhz()) ?? Number.POSITIVE_INFINITY).toBeGreaterThan(100_000)
})
