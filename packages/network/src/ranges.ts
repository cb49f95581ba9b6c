/**
 * IPv4 networks that are not the public internet, or that stand for the host: this network, private ones, between
 * carriers and their customers, loopback, link-local with most clouds' metadata, special purposes, documentation,
 * 6to4 relays, benchmarks, multicast, reserved, broadcast.
 */
export const DENIED4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  // Metadata of one cloud hides behind a public address.
  '168.63.129.16/32',
] as const

/** All that is handed out to the public; everything else of IPv6 is denied. */
export const PUBLIC6 = '2000::/3'

/** Of that: tunnels that carry IPv4 addresses (Teredo, 6to4) and other special purposes, documentation. */
export const DENIED6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'] as const

/** IPv6 addresses in which a translator finds an IPv4 address: allowed as that one is. */
export const TRANSLATED = '64:ff9b::/96'

/** What carries the traffic stands here, and answers for no other address of its networks. */
export const INSIDE = {
  network4: '198.19.255.0/24',
  network6: 'fd00::/64',
  /** Leads to the host's own loopback where an entry asks for a port of it. */
  host4: '198.19.255.2',
  resolver4: '198.19.255.3',
  resolver6: 'fd00::3',
} as const
