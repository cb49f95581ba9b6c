/** What a virtual machine boots: as much of it as a driver needs to know. */
export interface GuestSystem {
  /** Hex digest of kernel and initramfs. */
  readonly id: string
  /** Path of the ELF image; whoever a machine runs as may read it. */
  readonly kernel: string
  /** `cove-boot`, the agent, and modules where the kernel needs them. */
  readonly initrd: string
  /** The same with the program that reads disks. */
  readonly packInitrd: string
  readonly origin: 'built' | 'distribution'
  /** Of the kernel, such as `6.1.192`. */
  readonly version: string
  /** Devices are found by ACPI only. */
  readonly acpi: boolean
  readonly has: {
    readonly ninep: boolean
    readonly virtiofs: boolean
    readonly vsock: boolean
    readonly smp: boolean
  }
}

/** Where they come from. */
export interface GuestSystemSource {
  /** The best there is, or undefined. */
  current(signal: AbortSignal): Promise<GuestSystem | undefined>
}
