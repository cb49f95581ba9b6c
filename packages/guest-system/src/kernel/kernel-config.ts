/**
 * What a guest kernel has, over a configuration in which everything is off. A list of names is built in; the reasons
 * stand beside what is not plain. Modules are off: everything that a guest needs is in the one image, so that its
 * first program runs without loading anything.
 */

/** For every machine. */
const COMMON: readonly string[] = [
  'CONFIG_LOCALVERSION="-cove"',
  'CONFIG_DEFAULT_HOSTNAME="cove"',
  ...on('EXPERT', 'MULTIUSER', 'PRINTK', 'BUG', 'KALLSYMS', 'CC_OPTIMIZE_FOR_PERFORMANCE', 'INIT_STACK_NONE'),
  // System calls.
  ...on('FUTEX', 'EPOLL', 'SIGNALFD', 'TIMERFD', 'EVENTFD', 'AIO', 'IO_URING', 'ADVISE_SYSCALLS', 'MEMBARRIER', 'RSEQ'),
  ...on('POSIX_TIMERS', 'SYSVIPC', 'POSIX_MQUEUE', 'FHANDLE', 'CROSS_MEMORY_ATTACH', 'KCMP', 'USERFAULTFD', 'KEYS'),
  ...on('SECCOMP', 'SECCOMP_FILTER', 'BPF_SYSCALL', 'BPF_UNPRIV_DEFAULT_OFF'),
  // Programs inside a guest sandbox their own children with Landlock.
  ...on('SECURITY', 'SECURITY_LANDLOCK'),
  'CONFIG_LSM="landlock"',
  ...on('BINFMT_ELF', 'BINFMT_SCRIPT', 'BINFMT_MISC', 'COREDUMP', 'ELF_CORE', 'BASE_FULL'),
  // Time. Fewer ticks are fewer exits; timers of programs do not hang on them.
  ...on('HIGH_RES_TIMERS', 'NO_HZ_IDLE', 'HZ_250', 'PREEMPT_NONE'),
  // Control groups and namespaces, for the agent and for containers inside a guest.
  ...on('CGROUPS', 'MEMCG', 'CGROUP_SCHED', 'FAIR_GROUP_SCHED', 'CFS_BANDWIDTH', 'CGROUP_PIDS', 'CGROUP_DEVICE'),
  ...on('CGROUP_FREEZER', 'CGROUP_CPUACCT', 'CGROUP_BPF', 'CPUSETS'),
  ...on('NAMESPACES', 'UTS_NS', 'IPC_NS', 'USER_NS', 'PID_NS', 'NET_NS', 'TIME_NS'),
  // Memory.
  ...on('SHMEM', 'SWAP', 'SLUB', 'SLAB_MERGE_DEFAULT', 'VM_EVENT_COUNTERS', 'COMPACTION', 'BALLOON_COMPACTION'),
  ...on('TRANSPARENT_HUGEPAGE', 'TRANSPARENT_HUGEPAGE_MADVISE', 'SPARSEMEM_VMEMMAP'),
  // The start: an initramfs that is not compressed, and devices without udev.
  ...on('BLK_DEV_INITRD', 'DEVTMPFS', 'STANDALONE'),
  ...on('RANDOM_TRUST_CPU', 'RANDOM_TRUST_BOOTLOADER'),
  // Block devices. Disks of a guest have no partitions, so that none is looked for.
  ...on('BLOCK', 'BLK_DEV', 'BLK_DEV_LOOP', 'PARTITION_ADVANCED'),
  'CONFIG_BLK_DEV_LOOP_MIN_COUNT=0',
  // Virtio.
  ...on(
    'VIRTIO_MENU',
    'VIRTIO_MMIO',
    'VIRTIO_BLK',
    'VIRTIO_BALLOON',
    'VIRTIO_CONSOLE',
    'HW_RANDOM',
    'HW_RANDOM_VIRTIO',
  ),
  ...on('NETDEVICES', 'NET_CORE', 'VIRTIO_NET', 'VSOCKETS', 'VIRTIO_VSOCKETS', 'NET_9P', 'NET_9P_VIRTIO', 'VIRTIO_FS'),
  ...on('TTY', 'UNIX98_PTYS', 'DEVMEM'),
  // File systems.
  ...on('EXT4_FS', 'EXT4_USE_FOR_EXT2', 'EXT4_FS_POSIX_ACL', 'EXT4_FS_SECURITY', 'FILE_LOCKING'),
  ...on('MISC_FILESYSTEMS', 'EROFS_FS', 'EROFS_FS_XATTR', 'EROFS_FS_POSIX_ACL', 'EROFS_FS_SECURITY', 'EROFS_FS_ZIP'),
  ...on('OVERLAY_FS', 'FUSE_FS', 'NETWORK_FILESYSTEMS', '9P_FS', '9P_FS_POSIX_ACL', '9P_FS_SECURITY'),
  ...on(
    'PROC_FS',
    'PROC_SYSCTL',
    'PROC_PAGE_MONITOR',
    'PROC_CHILDREN',
    'SYSFS',
    'TMPFS',
    'TMPFS_POSIX_ACL',
    'TMPFS_XATTR',
  ),
  ...on('INOTIFY_USER', 'FANOTIFY', 'DNOTIFY'),
  // Networks, with what containers inside a guest make: bridges, pairs, tunnels, filters.
  ...on(
    'NET',
    'PACKET',
    'UNIX',
    'INET',
    'IPV6',
    'IP_MULTICAST',
    'SYN_COOKIES',
    'INET_DIAG',
    'UNIX_DIAG',
    'PACKET_DIAG',
  ),
  ...on('IP_ADVANCED_ROUTER', 'IP_MULTIPLE_TABLES', 'IPV6_MULTIPLE_TABLES'),
  ...on('TUN', 'VETH', 'BRIDGE', 'DUMMY', 'ETHTOOL_NETLINK'),
  ...on('NETFILTER', 'NETFILTER_ADVANCED', 'BRIDGE_NETFILTER', 'NF_CONNTRACK', 'NF_TABLES', 'NF_TABLES_INET'),
  ...on('NF_TABLES_IPV4', 'NF_TABLES_IPV6', 'NFT_CT', 'NFT_NAT', 'NFT_MASQ', 'NFT_REDIR', 'NFT_REJECT', 'NFT_LIMIT'),
  ...on('NFT_COMPAT', 'NETFILTER_XTABLES', 'NETFILTER_XT_MATCH_ADDRTYPE', 'NETFILTER_XT_MATCH_CONNTRACK'),
  ...on(
    'NETFILTER_XT_MATCH_COMMENT',
    'NETFILTER_XT_MATCH_MULTIPORT',
    'NETFILTER_XT_TARGET_MASQUERADE',
    'NETFILTER_XT_NAT',
    'NETFILTER_XT_MARK',
    'NETFILTER_XT_TARGET_REDIRECT',
  ),
]

/** Of one kind of processor. */
const OF: Readonly<Record<string, readonly string[]>> = {
  x86_64: [
    ...on(
      '64BIT',
      'SMP',
      'X86_X2APIC',
      'X86_MPPARSE',
      'HYPERVISOR_GUEST',
      'PARAVIRT',
      'PARAVIRT_SPINLOCKS',
      'KVM_GUEST',
    ),
    ...on('PVH', 'X86_IOPL_IOPERM', 'X86_UMIP', 'X86_VSYSCALL_EMULATION', 'LEGACY_VSYSCALL_XONLY', 'EARLY_PRINTK'),
    ...on('CRYPTO', 'CRYPTO_CRC32C_INTEL', 'VIRTIO_MMIO_CMDLINE_DEVICES', 'SERIAL_8250', 'SERIAL_8250_CONSOLE'),
    'CONFIG_NR_CPUS=64',
    'CONFIG_SERIAL_8250_NR_UARTS=1',
    'CONFIG_SERIAL_8250_RUNTIME_UARTS=1',
    // Without tables for the unwinder, nothing has to go through every object once more, and libelf is not needed.
    ...on('UNWINDER_GUESS', 'IO_DELAY_NONE'),
  ],
  // The image is made the same way; it has not been booted.
  aarch64: [
    ...on('SMP', 'PARAVIRT', 'VIRTIO_MMIO_CMDLINE_DEVICES', 'SERIAL_8250', 'SERIAL_8250_CONSOLE', 'SERIAL_OF_PLATFORM'),
    ...on('SERIAL_AMBA_PL011', 'SERIAL_AMBA_PL011_CONSOLE', 'OF', 'ARM_PSCI_FW'),
    'CONFIG_NR_CPUS=64',
  ],
}

function on(...names: readonly string[]): string[] {
  return names.map((name) => `CONFIG_${name}=y`)
}

/** The lines for one kind of processor as `uname -m` says it, or undefined where nobody has written them. */
export function kernelConfig(machine: string): string | undefined {
  const own = OF[machine]
  return own === undefined ? undefined : `${[...COMMON, ...own].join('\n')}\n`
}
