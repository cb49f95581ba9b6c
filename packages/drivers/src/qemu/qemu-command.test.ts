import { describe, expect, it } from 'vitest'
import { qemuArgv, qemuPackArgv, type QemuCommand } from './qemu-command.ts'

const PLAIN: QemuCommand = {
  program: '/usr/bin/qemu',
  pipes: '/pipes/guest',
  accelerator: 'tcg',
  acpi: false,
  memoryBytes: 512 * 2 ** 20,
  cpus: 1,
  ram: 'shared',
  kernel: '/kernel',
  initrd: '/initrd',
  append: 'quiet panic=-1',
  disks: [
    { fd: 5, readOnly: true },
    { path: '/disk', readOnly: false },
  ],
  monitorFd: 3,
  controlFd: 4,
  volumes: [],
}

const after = (argv: readonly string[], flag: string): string[] =>
  argv.flatMap((word, index) => (argv[index - 1] === flag ? [word] : []))

describe('the command line of QEMU', () => {
  it('says of every disk that it is raw, whatever its content looks like', () => {
    const disks = after(qemuArgv(PLAIN), '-blockdev').map((text) => JSON.parse(text) as Record<string, unknown>)
    expect(disks.map((disk) => disk['driver'])).toEqual(['raw', 'raw'])
    expect(disks.map((disk) => disk['read-only'])).toEqual([true, false])
    expect(disks.map((disk) => disk['file'])).toEqual([
      { driver: 'file', filename: '/dev/fdset/1', locking: 'off' },
      { driver: 'file', filename: '/disk', locking: 'off' },
    ])
  })

  it('forbids QEMU what it does not need, and gives it no network by itself', () => {
    const argv = qemuArgv(PLAIN)
    expect(after(argv, '-sandbox')).toEqual(['on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'])
    for (const flag of ['-nodefaults', '-no-user-config', '-no-reboot']) expect(argv).toContain(flag)
    expect(argv).not.toContain('-netdev')
  })

  it('keeps a path one value, whatever is in it', () => {
    const argv = qemuArgv({ ...PLAIN, ram: { private: '/a,share=on' }, incoming: 'defer' })
    expect(after(argv, '-object')[0]).toBe('memory-backend-file,id=ram0,size=512M,mem-path=/a,,share=on,share=off')
    expect(after(argv, '-incoming')).toEqual(['defer'])
  })

  it('waits for devices alone where it goes on from a memory', () => {
    const argv = qemuArgv({ ...PLAIN, ram: { private: '/proc/self/fd/7' }, incoming: 'fd:6' })
    expect(after(argv, '-incoming')).toEqual(['fd:6'])
    expect(after(argv, '-global')).toContain('migration.send-configuration=off')
    expect(after(argv, '-M')[0]).toContain(',suppress-vmdesc=on')
    expect(after(qemuArgv(PLAIN), '-global')).toEqual(['virtio-mmio.force-legacy=false'])
  })

  it('reads a disk with nothing else around it', () => {
    const argv = qemuPackArgv({ ...PLAIN, packFd: 3 })
    expect(argv[0]).toBe(PLAIN.program)
    expect(after(argv, '-sandbox')).toEqual(after(qemuArgv(PLAIN), '-sandbox'))
    expect(after(argv, '-chardev')).toEqual(['stdio,id=console,signal=off', 'socket,id=pack,fd=3,server=on,wait=on'])
    expect(argv).not.toContain('-netdev')
    expect(argv).not.toContain('-mon')
  })

  it('has room for as many devices as there are', () => {
    const volumes = [0, 1, 2].map((index) => ({ tag: `v${index}`, path: `/v${index}`, readOnly: index > 0 }))
    expect(after(qemuArgv(PLAIN), '-M')).toEqual(['microvm,acpi=off,memory-backend=ram0'])
    const argv = qemuArgv({ ...PLAIN, volumes })
    expect(after(argv, '-M')).toEqual(['microvm,acpi=off,memory-backend=ram0,ioapic2=on'])
    expect(after(argv, '-fsdev').map((text) => text.endsWith(',readonly=on'))).toEqual([false, true, true])
  })

  it('runs on the processor of the host where it can', () => {
    const argv = qemuArgv({ ...PLAIN, accelerator: 'kvm', cpus: 2 })
    expect([after(argv, '-accel'), after(argv, '-cpu'), after(argv, '-smp')]).toEqual([['kvm'], ['host'], ['2']])
  })
})
