import { describe, expect, it } from 'vitest'
import { cpuOf } from './host-cpu.ts'

const said = (model: string, flags: string) =>
  `processor\t: 0\nmodel name\t: ${model}\ncpu MHz\t\t: 2596.1\nflags\t\t: ${flags}\n\n`

describe('the name of a processor', () => {
  it('is the same for the same model and abilities, at any speed and in any order', () => {
    const one = cpuOf(said('AMD EPYC', 'fpu vme sse'))
    expect(one).toMatch(/^AMD EPYC \([0-9a-f]{12}\)$/)
    expect(cpuOf(said('AMD EPYC', 'sse fpu vme').replace('2596.1', '1000'))).toBe(one)
  })

  it('is another one where anything is missing', () => {
    const names = [said('AMD EPYC', 'fpu'), said('AMD EPYC', 'fpu sse'), said('Intel', 'fpu'), ''].map(cpuOf)
    expect(new Set(names).size).toBe(4)
    expect(names[3]).toMatch(/^unknown /)
  })
})
