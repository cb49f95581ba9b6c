/** What the first program of a virtual machine is told. */
export interface BootConfig {
  /** `pack` reads the disk and ends. */
  readonly mode: 'machine' | 'pack'
  readonly hostname: string
  /** File system of the read-only root disk. */
  readonly root: 'erofs' | 'ext4'
  /** Bytes that `/tmp` may grow to, in memory. */
  readonly tmpBytes: number
  readonly net?: { readonly mac: string; readonly address: string; readonly gateway: string }
  /** Content by name of files of `/etc`. */
  readonly etc: Readonly<Record<string, string>>
  readonly volumes: readonly {
    readonly tag: string
    readonly kind: '9p' | 'virtiofs'
    readonly readOnly: boolean
    readonly target: string
  }[]
  /** The most processes of the workload. */
  readonly processes?: number
  /** How the agent and the control channel are reached: a virtio-serial port, or a vsock port of this number. */
  readonly stream: 'port' | number
  readonly control: 'port' | number
}

const SECTOR = 512
const NAME = /^[\w.-]{1,64}$/

/**
 * The text of the configuration disk: lines, filled up with newlines to whole sectors. Whatever is not plain is written
 * in hexadecimal digits, so that no value can begin a line of its own.
 */
export function bootConfig(config: BootConfig): string {
  const lines = [
    'cove-boot 1',
    `mode ${config.mode}`,
    `hostname ${plain(config.hostname)}`,
    `root ${config.root}`,
    `tmp ${config.tmpBytes}`,
    ...(config.net === undefined ? [] : [`net ${config.net.mac} ${config.net.address} ${config.net.gateway}`]),
    ...Object.entries(config.etc).map(([name, text]) => `etc ${plain(name)} ${hex(text)}`),
    ...config.volumes.map(
      ({ tag, kind, readOnly, target }) => `volume ${plain(tag)} ${kind} ${readOnly ? 'ro' : 'rw'} ${hex(target)}`,
    ),
    ...(config.processes === undefined ? [] : [`processes ${config.processes}`]),
    `stream ${channel(config.stream)}`,
    `control ${channel(config.control)}`,
    'end',
  ]
  const text = `${lines.join('\n')}\n`
  return text.padEnd(Math.ceil(text.length / SECTOR) * SECTOR, '\n')
}

const channel = (place: 'port' | number): string => (place === 'port' ? 'port' : `vsock ${place}`)
const hex = (text: string): string => Buffer.from(text).toString('hex')

function plain(name: string): string {
  if (!NAME.test(name)) throw new TypeError(`${JSON.stringify(name)} is no plain name`)
  return name
}
