/** The processor that machines run on: the host's, or one that is a program. */
export type Accelerator = 'kvm' | 'tcg'

/** Where a machine's memory is. */
export type RamBacking =
  /** A file in memory that only QEMU has open: what the machine changes is in it. */
  | 'shared'
  /** A file that the machine starts with; what it changes is its own, and the file stays as it is. */
  | { readonly private: string }

/** Everything of one virtual machine, by the paths and descriptors that QEMU sees. */
export interface QemuCommand {
  readonly program: string
  /** Where the pipes of the guest stream are made: what the guest reads ends with `.in`, what it writes with `.out`. */
  readonly pipes: string
  readonly accelerator: Accelerator
  readonly acpi: boolean
  readonly memoryBytes: number
  readonly cpus: number
  readonly ram: RamBacking
  readonly kernel: string
  readonly initrd: string
  readonly append: string
  /** In this order; always raw, whatever their content looks like. */
  readonly disks: readonly QemuDisk[]
  /** Listening unix sockets. */
  readonly monitorFd: number
  readonly controlFd: number
  /** Absent: there is no network device. */
  readonly net?: { readonly mac: string; readonly subnet: UserSubnet }
  readonly volumes: readonly { readonly tag: string; readonly path: string; readonly readOnly: boolean }[]
  /** Waits for the state of a saved machine instead of starting: `defer`, `fd:N`, or `unix:PATH`. */
  readonly incoming?: string
}

export type QemuDisk =
  | { readonly path: string; readonly readOnly: boolean }
  /** Open for reading. */
  | { readonly fd: number; readonly readOnly: true }

export interface UserSubnet {
  readonly network: string
  readonly host: string
  readonly resolver: string
  readonly guest: string
}

/** The block name of a machine's memory: saved state finds it by that. */
export const RAM_ID = 'ram0'
/** Bytes of translated code that are kept: less makes the machine slow, more is memory for nothing. */
const TRANSLATIONS_MIB = 128
/** QEMU opens pipes by name; whoever else has made them would be their owner, and it could not. */
const WITH_PIPES = ['/usr/bin/sh', '-c', 'mkfifo -m 600 "$0.in" "$0.out" && exec "$@"'] as const
/**
 * All that QEMU can emulate, less two promises: that copying byte by byte is fast. An emulated processor really goes from
 * byte to byte, and a kernel that believes them copies and clears memory at a fifth of the speed.
 */
export const EMULATED_CPU = process.arch === 'x64' ? 'max,-erms,-fsrm' : 'max'
/** Without a second interrupt controller a machine has this many devices. */
const FEW_DEVICES = 8
/** Serial ports, two disks and the configuration, random numbers, balloon. */
const OWN_DEVICES = 6

/**
 * The command line of QEMU. The guest agent speaks through a pair of pipes, which stay as they are whoever comes and
 * goes at their other sides; the console goes to stdout; nothing else leads out but the sockets that it is given.
 */
export function qemuArgv(command: QemuCommand): readonly string[] {
  const { volumes, incoming } = command
  const devices = OWN_DEVICES + volumes.length + (command.net === undefined ? 0 : 1)
  const options = `${devices > FEW_DEVICES ? ',ioapic2=on' : ''}${incoming === undefined ? '' : ',suppress-vmdesc=on'}`
  const words = [
    ...WITH_PIPES,
    command.pipes,
    ...common(command, command.ram, options),
    '-smp',
    `${command.cpus}`,
    ...channels(command),
    ...command.disks.flatMap(disk),
    '-object',
    'rng-builtin,id=rng0',
    '-device',
    'virtio-rng-device,rng=rng0',
    '-device',
    'virtio-balloon-device,id=balloon0,deflate-on-oom=on,free-page-reporting=on',
    ...(command.net === undefined ? [] : network(command.net)),
    ...volumes.flatMap(volume),
  ]
  return incoming === undefined ? words : [...words, ...DEVICES_ONLY, '-incoming', incoming]
}

type PackCommand = Pick<
  QemuCommand,
  'program' | 'accelerator' | 'acpi' | 'memoryBytes' | 'kernel' | 'initrd' | 'append' | 'disks'
> & {
  /** Listening unix socket: the machine starts when somebody has connected. */
  readonly packFd: number
}

/** The command line for a machine that streams what is on a disk, and ends. */
export function qemuPackArgv(command: PackCommand): readonly string[] {
  return [
    ...common(command, 'shared', ''),
    ...console(),
    '-chardev',
    `socket,id=pack,fd=${command.packFd},server=on,wait=on`,
    '-device',
    'virtio-serial-device,max_ports=2',
    '-device',
    'virtserialport,chardev=pack,name=cove.pack',
    ...command.disks.flatMap(disk),
  ]
}

/** What all machines have. */
function common(command: Omit<PackCommand, 'disks' | 'packFd'>, ram: RamBacking, options: string): readonly string[] {
  const { accelerator } = command
  const mib = Math.floor(command.memoryBytes / 2 ** 20)
  return [
    command.program,
    '-nodefaults',
    '-no-user-config',
    '-no-reboot',
    '-display',
    'none',
    '-M',
    `microvm,acpi=${onOff(command.acpi)},memory-backend=${RAM_ID}${options}`,
    '-accel',
    accelerator === 'tcg' ? `tcg,tb-size=${TRANSLATIONS_MIB}` : 'kvm',
    '-cpu',
    accelerator === 'tcg' ? EMULATED_CPU : 'host',
    '-m',
    `${mib}`,
    '-object',
    ramObject(ram, mib),
    '-sandbox',
    'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
    '-global',
    'virtio-mmio.force-legacy=false',
    '-kernel',
    command.kernel,
    '-initrd',
    command.initrd,
    '-append',
    command.append,
  ]
}

/** What is saved has neither memory nor a description: it begins with the devices. */
const DEVICES_ONLY = ['-global', 'migration.send-configuration=off'] as const

const onOff = (on: boolean): string => (on ? 'on' : 'off')

function ramObject(ram: RamBacking, mib: number): string {
  return ram === 'shared'
    ? `memory-backend-memfd,id=${RAM_ID},size=${mib}M,share=on`
    : `memory-backend-file,id=${RAM_ID},size=${mib}M,mem-path=${value(ram.private)},share=off`
}

function console(): readonly string[] {
  return ['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console']
}

function channels({ monitorFd, controlFd, pipes }: QemuCommand): readonly string[] {
  return [
    ...console(),
    '-chardev',
    `socket,id=monitor,fd=${monitorFd},server=on,wait=off`,
    '-mon',
    'chardev=monitor,mode=control',
    '-chardev',
    `pipe,id=guest,path=${pipes}`,
    '-chardev',
    `socket,id=control,fd=${controlFd},server=on,wait=off`,
    '-device',
    'virtio-serial-device,max_ports=4',
    '-device',
    'virtserialport,chardev=guest,name=cove.guest',
    '-device',
    'virtserialport,chardev=control,name=cove.control',
  ]
}

/** Nobody else has the files, so that nothing need be locked; `raw` is said, so that no content is taken for a format. */
function disk(entry: QemuDisk, index: number): readonly string[] {
  const byFd = 'fd' in entry
  const set = index + 1
  const file = byFd ? `/dev/fdset/${set}` : entry.path
  return [
    ...(byFd ? ['-add-fd', `fd=${entry.fd},set=${set}`] : []),
    '-blockdev',
    JSON.stringify({
      'node-name': `disk${index}`,
      driver: 'raw',
      'read-only': entry.readOnly,
      discard: 'unmap',
      file: { driver: 'file', filename: file, locking: 'off' },
    }),
    '-device',
    `virtio-blk-device,drive=disk${index}`,
  ]
}

function network({ mac, subnet }: NonNullable<QemuCommand['net']>): readonly string[] {
  const { network: net, host, resolver, guest } = subnet
  return [
    '-netdev',
    `user,id=net0,ipv6=off,net=${net},host=${host},dns=${resolver},dhcpstart=${guest}`,
    '-device',
    `virtio-net-device,netdev=net0,mac=${mac}`,
  ]
}

function volume({ tag, path, readOnly }: QemuCommand['volumes'][number], index: number): readonly string[] {
  return [
    '-fsdev',
    `local,id=volume${index},path=${value(path)},security_model=passthrough,multidevs=remap${readOnly ? ',readonly=on' : ''}`,
    '-device',
    `virtio-9p-device,fsdev=volume${index},mount_tag=${tag}`,
  ]
}

/** A comma ends a value unless there are two. */
const value = (text: string): string => text.replaceAll(',', ',,')
