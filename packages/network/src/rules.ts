import { describeNetwork, formatIp, networkOf, parseIp, type IpAddress } from '@cove/domain'
import { DENIED4, DENIED6, INSIDE, PUBLIC6, TRANSLATED } from './ranges.ts'

/** An exception with addresses only. */
export type Exception =
  | { readonly kind: 'addresses'; readonly network: IpAddress; readonly bits: number; readonly port?: number }
  | { readonly kind: 'host'; readonly port: number }

/** The only interface besides loopback. */
const DEVICE = 'tap0'
/** Conversations over UDP at a time; further ones wait until one has been silent for long enough. */
const FLOWS = 8192
const FLOW_SECONDS = 60

/**
 * What nft loads into a machine's network namespace before anything is connected with it. Nothing passes unless a
 * rule lets it. Nothing is remembered but who was spoken to over UDP, in a table with an end: a machine cannot fill
 * the kernel's memory with connections.
 */
export function networkRules(exceptions: readonly Exception[]): string {
  return `table inet cove {
  set denied4 {
    type ipv4_addr; flags interval
    elements = { ${DENIED4.join(', ')} }
  }
  set denied6 {
    type ipv6_addr; flags interval
    elements = { ${DENIED6.join(', ')} }
  }
  set translated6 {
    type ipv6_addr; flags interval
    elements = { ${DENIED4.map(translated).join(', ')} }
  }
  set host4 {
    type ipv4_addr; flags interval; auto-merge
  }
  set host6 {
    type ipv6_addr; flags interval; auto-merge
  }
  set flows4 {
    type ipv4_addr . inet_service . inet_service; flags dynamic,timeout; timeout ${FLOW_SECONDS}s; size ${FLOWS}
  }
  set flows6 {
    type ipv6_addr . inet_service . inet_service; flags dynamic,timeout; timeout ${FLOW_SECONDS}s; size ${FLOWS}
  }
  chain pass {
    meta l4proto tcp accept
    update @flows4 { ip daddr . udp dport . udp sport } accept
    update @flows6 { ip6 daddr . udp dport . udp sport } accept
    icmp type echo-request accept
    icmpv6 type echo-request accept
    drop
  }
  chain deny {
    meta l4proto tcp reject with tcp reset
    meta l4proto udp reject with icmpx type admin-prohibited
    drop
  }
  chain output {
    type filter hook output priority 0; policy drop
    oifname "lo" accept
    oifname != "${DEVICE}" drop
    ip daddr ${INSIDE.resolver4} meta l4proto { tcp, udp } th dport 53 accept
    ip6 daddr ${INSIDE.resolver6} meta l4proto { tcp, udp } th dport 53 accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } accept
${hostPorts(exceptions)}    ip daddr ${INSIDE.network4} goto deny
    ip6 daddr ${INSIDE.network6} goto deny
${exceptions.map(exceptionRule).join('')}    ip daddr @denied4 goto deny
    ip daddr @host4 goto deny
    ip6 daddr @host6 goto deny
    ip6 daddr ${TRANSLATED} ip6 daddr != @translated6 goto pass
    ip6 daddr != ${PUBLIC6} goto deny
    ip6 daddr @denied6 goto deny
    goto pass
  }
  chain input {
    type filter hook input priority 0; policy drop
    iifname "lo" accept
    iifname != "${DEVICE}" drop
    tcp flags & (syn | ack) == syn drop
    meta l4proto tcp accept
    ip saddr ${INSIDE.resolver4} udp sport 53 accept
    ip6 saddr ${INSIDE.resolver6} udp sport 53 accept
    ip saddr . udp sport . udp dport @flows4 accept
    ip6 saddr . udp sport . udp dport @flows6 accept
    icmp type { echo-reply, destination-unreachable, time-exceeded, parameter-problem } accept
    icmpv6 type { echo-reply, destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } ip6 hoplimit 255 accept
  }
  chain forward {
    type filter hook forward priority 0; policy drop
  }
}
`
}

function hostPorts(exceptions: readonly Exception[]): string {
  const ports = exceptions.flatMap((exception) => (exception.kind === 'host' ? [exception.port] : []))
  if (ports.length === 0) return ''
  return `    ip daddr ${INSIDE.host4} meta l4proto { tcp, udp } th dport { ${[...new Set(ports)].join(', ')} } goto pass\n`
}

function exceptionRule(exception: Exception): string {
  if (exception.kind === 'host') return ''
  const { network, bits, port } = exception
  const address = `${network.family === 4 ? 'ip' : 'ip6'} daddr ${describeNetwork(network, bits)}`
  return port === undefined
    ? `    ${address} goto pass\n`
    : `    ${address} meta l4proto { tcp, udp } th dport ${port} goto pass\n`
}

/** The same network as a translator's IPv6 addresses have it. */
function translated(network4: string): string {
  const [text = '', bits = ''] = network4.split('/')
  const prefix = parseIp(TRANSLATED.split('/')[0] ?? '')
  const address = parseIp(text)
  if (prefix === undefined || address === undefined) throw new Error(`${network4} is no network`)
  const value = prefix.value | address.value
  return `${formatIp(networkOf({ family: 6, value }, Number(bits) + 96))}/${Number(bits) + 96}`
}
