import { parseAllow } from '@cove/domain'
import { describe, expect, it } from 'vitest'
import { networkRules, type Exception } from './rules.ts'

const rules = (...allow: string[]): string =>
  networkRules(parseAllow(allow).filter((target): target is Exception => target.kind !== 'name'))
const lines = (text: string): readonly string[] => text.split('\n').map((line) => line.trim())

/** Where a line stands in the chain that everything going out passes. */
function place(text: string, line: string): number {
  const found = lines(text.slice(text.indexOf('chain output'))).indexOf(line)
  if (found < 0) throw new Error(`no line ${line}`)
  return found
}

describe('rules', () => {
  it('let nothing pass that no rule lets pass', () => {
    for (const hook of ['output', 'input', 'forward']) {
      expect(rules()).toContain(`type filter hook ${hook} priority 0; policy drop`)
    }
  })

  it('close what carries the traffic before anything is opened, but for names', () => {
    const text = rules('0.0.0.0/0', '::/0')
    const closed = place(text, 'ip daddr 198.19.255.0/24 goto deny')
    expect(place(text, 'ip daddr 198.19.255.3 meta l4proto { tcp, udp } th dport 53 accept')).toBeLessThan(closed)
    expect(closed).toBeLessThan(place(text, 'ip daddr 0.0.0.0/0 goto pass'))
    expect(place(text, 'ip6 daddr fd00::/64 goto deny')).toBeLessThan(
      place(text, 'ip6 daddr 0:0:0:0:0:0:0:0/0 goto pass'),
    )
  })

  it('open exceptions before the denials, each no further than it says', () => {
    const text = rules('10.1.2.3', '10.5.0.0/16:443', '[fd12::1]:80')
    const denied = place(text, 'ip daddr @denied4 goto deny')
    expect(place(text, 'ip daddr 10.1.2.3 goto pass')).toBeLessThan(denied)
    expect(place(text, 'ip daddr 10.5.0.0/16 meta l4proto { tcp, udp } th dport 443 goto pass')).toBeLessThan(denied)
    expect(text).toContain('ip6 daddr fd12:0:0:0:0:0:0:1 meta l4proto { tcp, udp } th dport 80 goto pass')
    expect(text).not.toContain('10.5.0.0/16 goto pass')
  })

  it('open the loopback of the host only where it is named', () => {
    expect(rules('10.0.0.0/8')).not.toContain('198.19.255.2')
    expect(rules('host:80', 'host:443', 'host:80')).toContain(
      'ip daddr 198.19.255.2 meta l4proto { tcp, udp } th dport { 80, 443 } goto pass',
    )
  })

  it('deny the translated form of every denied IPv4 network', () => {
    const elements = /set translated6 \{[^}]*elements = \{([^}]*)\}/.exec(rules())?.[1] ?? ''
    expect(elements).toContain('64:ff9b:0:0:0:0:a00:0/104')
    expect(elements).toContain('64:ff9b:0:0:0:0:c0a8:0/112')
    expect(elements.split(',')).toHaveLength(15)
  })
})
