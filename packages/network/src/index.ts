export { HOST_NAME, type EtcFiles } from './etc-files.ts'
export { Networks, type NetworksOptions, type NetworkSupport, type StartedNetwork } from './networks.ts'
export type { Lookup } from './resolve-allow.ts'
export type { NetworkTools } from './tools.ts'
