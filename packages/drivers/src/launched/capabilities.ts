/**
 * What root inside a machine may do there. Everything else of root's power is gone from the start; the agent drops
 * the same from the bounding set.
 */
export const CAPABILITIES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_NET_BIND_SERVICE',
  'CAP_SETFCAP',
  'CAP_SETGID',
  // The agent needs it to empty the bounding set.
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
] as const

/** What the agent keeps, and with it whatever it starts. */
export const KEPT_CAPABILITIES = CAPABILITIES.filter((name) => name !== 'CAP_SETPCAP')
