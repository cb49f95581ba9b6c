import { accessSync, constants, existsSync } from 'node:fs'
import type { BodyOf, CallName } from '../api-contract.ts'
import type { MachineState } from './machine-state.ts'
import { Refused } from './refused.ts'

/** Room for the kernel's command line on x86. */
const CMDLINE_BYTES = 2048
const INTERFACE_NAME_BYTES = 15

export function checkMachineConfig(config: MachineState['config']): void {
  const { mem_size_mib: memory, vcpu_count: cpus, smt = false, huge_pages: pages = 'None' } = config
  if (memory === 0) throw new Refused('The memory size (MiB) is invalid.')
  if (smt && cpus > 1 && cpus % 2 === 1) throw new Refused('The vCPU number is invalid with SMT.')
  if (pages === '2M' && memory % 2 === 1) throw new Refused('The memory size (MiB) is no multiple of the page size.')
}

export function checkBootSource(source: BodyOf<'PUT /boot-source'>): void {
  readable(source.kernel_image_path, 'The kernel file cannot be opened')
  if (source.initrd_path !== undefined) readable(source.initrd_path, 'The initrd file cannot be opened')
  const { boot_args: args = '' } = source
  // eslint-disable-next-line no-control-regex
  if (!/^[\x20-\x7e]*$/.test(args)) throw new Refused('The kernel command line is invalid: not printable ASCII')
  if (args.length >= CMDLINE_BYTES) throw new Refused('The kernel command line is invalid: too large')
}

export function checkDrive(drive: MachineState['drives'][number], others: MachineState['drives']): void {
  const { path_on_host: path, socket, is_read_only: readOnly } = drive
  if (socket !== undefined) throw new Refused('Unable to create the vhost-user block device: nobody listens there')
  if (path === undefined || readOnly === undefined)
    throw new Refused('Unable to create the virtio block device: Config')
  readable(path, 'Unable to create the virtio block device: Virtio backend error: Error manipulating the backing file')
  if (!readOnly) writable(path)
  if (drive.is_root_device && others.some(({ is_root_device: root }) => root)) {
    throw new Refused('A root block device already exists!')
  }
}

export function checkInterface(one: MachineState['interfaces'][number], others: MachineState['interfaces']): void {
  const { guest_mac: mac, host_dev_name: device } = one
  if (mac !== undefined && !/^[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}$/.test(mac)) {
    throw new Refused('The MAC address is invalid.')
  }
  if (mac !== undefined && others.some(({ guest_mac: other }) => other === mac)) {
    throw new Refused(`The MAC address is already in use: ${mac}`)
  }
  checkTap(device)
}

export function checkTap(device: string): void {
  if (device.length > INTERFACE_NAME_BYTES || !/^[\w.-]+$/.test(device)) {
    throw new Refused(`Open tap device failed: invalid interface name ${device}`)
  }
  if (!existsSync(`/sys/class/net/${device}/tun_flags`)) {
    throw new Refused(`Open tap device failed: no tap device ${device} in this network namespace`)
  }
}

/** Firecracker cannot take sizes back once the guest knows them. */
export function checkBalloon(balloon: BodyOf<'PUT /balloon'>, memoryMib: number): void {
  checkAmount(balloon.amount_mib, memoryMib)
}

export function checkAmount(amount: number, memoryMib: number): void {
  if (amount > memoryMib) throw new Refused('Amount of pages requested is too large.')
}

/** Whatever is written to must be there: Firecracker makes no files of its own for logs and metrics. */
export function checkSink(path: string | undefined): void {
  if (path !== undefined) writable(path)
}

/** The identifier of the path is that of the body. */
export function checkId(name: CallName, id: string | undefined, body: unknown): void {
  if (id === undefined) return
  const field = /\{(\w+)\}/.exec(name)?.[1] ?? ''
  const said = (body as Record<string, unknown>)[field]
  if (said !== id) {
    throw new Refused(`The id from the path [${id}] does not match the id from the body [${String(said)}]!`)
  }
}

function readable(path: string, otherwise: string): void {
  try {
    accessSync(local(path), constants.R_OK)
  } catch (cause) {
    throw new Refused(`${otherwise}: ${String(cause)} ${path}`)
  }
}

function writable(path: string): void {
  try {
    accessSync(local(path), constants.R_OK | constants.W_OK)
  } catch (cause) {
    throw new Refused(`No write access: ${String(cause)} ${path}`)
  }
}

/** Paths are those of the jail, which is the current directory. */
export const local = (path: string): string =>
  process.env['STAND_IN_JAIL'] === undefined ? path : `.${path.startsWith('/') ? path : `/${path}`}`
