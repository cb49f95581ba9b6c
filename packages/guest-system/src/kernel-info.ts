/** What a kernel can do for a guest beyond what every one of them can. */
export interface KernelAbilities {
  readonly ninep: boolean
  readonly virtiofs: boolean
  readonly vsock: boolean
  /** More than one processor. */
  readonly smp: boolean
}

/** A kernel that is kept. */
export interface KernelInfo {
  /** Hex digest of the image, its modules and where they are from. */
  readonly id: string
  readonly origin: 'built' | 'distribution'
  /** As `uname -r` says it in a guest. */
  readonly version: string
  /** As `uname -m` says it. */
  readonly machine: string
  /** What it is from, such as `linux-source-6.1 6.1.192-2`. */
  readonly source: string
  readonly bytes: number
  /** Milliseconds of the epoch. */
  readonly madeAt: number
  /** Virtio devices are found by ACPI only. */
  readonly acpi: boolean
  readonly has: KernelAbilities
  /** VMs are started with it when nothing else is said. */
  readonly current: boolean
  /** It cannot be used any more: a file of it is missing or was cut short. */
  readonly damaged: boolean
}

/** What a VM boots. */
export interface GuestSystem {
  /** Hex digest of kernel and initramfs. */
  readonly id: string
  /** Path of the image. */
  readonly kernel: string
  /** Path of the initramfs with `cove-boot`, the guest agent, and the modules that the kernel needs. */
  readonly initrd: string
  /** Path of the initramfs that packs a disk: with `cove-layers` in place of the guest agent. */
  readonly packInitrd: string
  readonly origin: 'built' | 'distribution'
  /** As `uname -r` says it in a guest. */
  readonly version: string
  /** Virtio devices are found by ACPI only. */
  readonly acpi: boolean
  readonly has: KernelAbilities
}

/** How far work on a kernel is. */
export interface KernelProgress {
  /** What is done now, in a few words. */
  readonly step: string
  /** How much of it is done, and how much there is as far as anybody knows. */
  readonly done?: number
  readonly total?: number
}
