import { readFile } from 'node:fs/promises'

export interface CommandLineOptions {
  /** The processor is a program: what only measures or patches real ones is left out. */
  readonly emulated: boolean
  /** Of the time stamp counter, in kHz, where it is known. */
  readonly tscKhz?: number | undefined
}

/**
 * What the kernel of a virtual machine is told. It ends the machine where it would otherwise wait for somebody, says
 * on the console only what is the end of it, and leaves out what takes time and gives nothing here.
 */
export function kernelCommandLine({ emulated, tscKhz }: CommandLineOptions): string {
  return [
    'console=ttyS0',
    'panic=-1',
    'reboot=t',
    'quiet',
    // At 0 it would not even tell of a panic.
    'loglevel=1',
    '8250.nr_uarts=1',
    'random.trust_cpu=on',
    'rcupdate.rcu_expedited=1',
    'cryptomgr.notests',
    'audit=0',
    'selinux=0',
    'apparmor=0',
    'no_timer_check',
    ...(emulated
      ? [
          'nokaslr',
          'init_on_alloc=0',
          'mitigations=off',
          'noreplace-smp',
          'nolapic_timer',
          'tsc=reliable',
          // Measured inside, against a timer that comes late, it is wrong or not found at all.
          ...(tscKhz === undefined ? [] : [`tsc_early_khz=${tscKhz}`]),
        ]
      : []),
  ].join(' ')
}

/** How fast this host's time stamp counter runs, in kHz; undefined where the host does not say. */
export async function hostTscKhz(): Promise<number | undefined> {
  const cpu0 = '/sys/devices/system/cpu/cpu0'
  const told = (await numberIn(`${cpu0}/tsc_freq_khz`)) ?? (await numberIn(`${cpu0}/cpufreq/base_frequency`))
  if (told !== undefined) return told
  const cpuinfo = await readFile('/proc/cpuinfo', 'utf8').catch(() => '')
  // A processor whose speed changes shows the present one, which its counter does not follow.
  const changes = (await numberIn(`${cpu0}/cpufreq/cpuinfo_max_freq`)) !== undefined
  const nominal = /^model name\s*:.*@\s*([\d.]+)GHz/m.exec(cpuinfo)?.[1]
  const now = /^cpu MHz\s*:\s*([\d.]+)/m.exec(cpuinfo)?.[1]
  const khz = changes ? Number(nominal ?? Number.NaN) * 1e6 : Number(now ?? Number.NaN) * 1e3
  return Number.isFinite(khz) && khz > 0 ? Math.round(khz) : undefined
}

async function numberIn(path: string): Promise<number | undefined> {
  const value = Number((await readFile(path, 'utf8').catch(() => '')).trim() || Number.NaN)
  return Number.isFinite(value) && value > 0 ? value : undefined
}
