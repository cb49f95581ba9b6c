import { anything, flag, list, map, oneOf, only, shape, text, whole } from './api-rules.ts'

const INT32 = 2 ** 32 - 1

const TokenBucket = shape({ refill_time: whole(0), size: whole(0) }, { one_time_burst: whole(0) })
const RateLimiter = shape({}, { bandwidth: TokenBucket, ops: TokenBucket })

const Balloon = shape(
  { amount_mib: whole(), deflate_on_oom: flag },
  { stats_polling_interval_s: whole(), free_page_hinting: flag, free_page_reporting: flag },
)
const BootSource = shape({ kernel_image_path: text }, { boot_args: text, initrd_path: text })
const CpuTemplate = oneOf('C3', 'T2', 'T2S', 'T2CL', 'T2A', 'V1N1', 'None')
const CpuConfig = shape(
  {},
  {
    kvm_capabilities: list(text),
    cpuid_modifiers: list(
      only({
        leaf: text,
        subleaf: text,
        flags: whole(),
        modifiers: list(only({ register: oneOf('eax', 'ebx', 'ecx', 'edx'), bitmap: text })),
      }),
    ),
    msr_modifiers: list(only({ addr: text, bitmap: text })),
    reg_modifiers: list(only({ addr: text, bitmap: text })),
    vcpu_features: list(only({ index: whole(), bitmap: text })),
  },
)
const Drive = shape(
  { drive_id: text, is_root_device: flag },
  {
    partuuid: text,
    cache_type: oneOf('Unsafe', 'Writeback'),
    is_read_only: flag,
    path_on_host: text,
    rate_limiter: RateLimiter,
    io_engine: oneOf('Sync', 'Async'),
    socket: text,
  },
)
const Pmem = shape({ id: text, path_on_host: text }, { root_device: flag, read_only: flag, rate_limiter: RateLimiter })
const Logger = shape(
  {},
  {
    level: oneOf('Error', 'Warning', 'Info', 'Debug', 'Trace', 'Off'),
    log_path: text,
    show_level: flag,
    show_log_origin: flag,
    module: text,
  },
)
const MachineConfiguration = shape(
  { mem_size_mib: whole(), vcpu_count: whole(1, 32) },
  { cpu_template: CpuTemplate, smt: flag, track_dirty_pages: flag, huge_pages: oneOf('None', 'Transparent', '2M') },
)
const Metrics = shape({ metrics_path: text }, { emit_id: flag, properties: map(text) })
const MmdsConfig = shape(
  { network_interfaces: list(text) },
  { version: oneOf('V1', 'V2'), ipv4_address: text, imds_compat: flag },
)
const NetworkInterface = shape(
  { host_dev_name: text, iface_id: text },
  { guest_mac: text, mtu: whole(68, 65_535), rx_rate_limiter: RateLimiter, tx_rate_limiter: RateLimiter },
)
const EntropyDevice = shape({}, { rate_limiter: RateLimiter })
const Vsock = shape({ guest_cid: whole(3), uds_path: text }, { vsock_id: text })
const MemoryHotplugConfig = shape(
  {},
  { total_size_mib: whole(undefined, INT32), slot_size_mib: whole(128, INT32), block_size_mib: whole(2, INT32) },
)

/** Of balloon statistics: what the guest tells, where it does. */
const GUEST_COUNTERS = {
  swap_in: whole(),
  swap_out: whole(),
  major_faults: whole(),
  minor_faults: whole(),
  free_memory: whole(),
  total_memory: whole(),
  available_memory: whole(),
  disk_caches: whole(),
  hugetlb_allocations: whole(),
  hugetlb_failures: whole(),
  oom_kill: whole(),
  alloc_stall: whole(),
  async_scan: whole(),
  direct_scan: whole(),
  async_reclaim: whole(),
  direct_reclaim: whole(),
} as const

/** What is sent to Firecracker and what it answers, by the names of its published API (1.17). */
export const SHAPES = {
  Balloon,
  BalloonUpdate: only({ amount_mib: whole() }),
  BalloonStats: shape(
    { target_pages: whole(), actual_pages: whole(), target_mib: whole(), actual_mib: whole() },
    GUEST_COUNTERS,
  ),
  BalloonStatsUpdate: only({ stats_polling_interval_s: whole() }),
  BalloonStartCmd: shape({}, { acknowledge_on_stop: flag }),
  BalloonHintingStatus: shape({ host_cmd: whole() }, { guest_cmd: whole() }),
  BootSource,
  CpuConfig,
  Drive,
  PartialDrive: shape({ drive_id: text }, { path_on_host: text, rate_limiter: RateLimiter }),
  Pmem,
  PartialPmem: shape({ id: text }, { rate_limiter: RateLimiter }),
  Error: shape({}, { fault_message: text }),
  InstanceActionInfo: only({ action_type: oneOf('FlushMetrics', 'InstanceStart', 'SendCtrlAltDel') }),
  InstanceInfo: only({
    app_name: text,
    id: text,
    state: oneOf('Not started', 'Running', 'Paused'),
    vmm_version: text,
  }),
  Logger,
  MachineConfiguration,
  Metrics,
  MmdsConfig,
  MmdsContentsObject: map(anything),
  NetworkInterface,
  PartialNetworkInterface: shape({ iface_id: text }, { rx_rate_limiter: RateLimiter, tx_rate_limiter: RateLimiter }),
  SnapshotCreateParams: shape({ mem_file_path: text, snapshot_path: text }, { snapshot_type: oneOf('Full', 'Diff') }),
  SnapshotLoadParams: shape(
    { snapshot_path: text },
    {
      enable_diff_snapshots: flag,
      track_dirty_pages: flag,
      mem_file_path: text,
      mem_backend: only({ backend_type: oneOf('File', 'Uffd'), backend_path: text }),
      resume_vm: flag,
      network_overrides: list(only({ iface_id: text, host_dev_name: text })),
      vsock_override: only({ uds_path: text }),
      clock_realtime: flag,
      huge_pages: oneOf('Snapshot', 'None', 'Transparent', '2M'),
    },
  ),
  Vm: only({ state: oneOf('Paused', 'Resumed') }),
  EntropyDevice,
  SerialDevice: shape({}, { serial_out_path: text, rate_limiter: TokenBucket }),
  MemoryHotplugConfig,
  MemoryHotplugSizeUpdate: shape({}, { requested_size_mib: whole(0, INT32) }),
  MemoryHotplugStatus: shape(
    {},
    {
      total_size_mib: whole(),
      slot_size_mib: whole(),
      block_size_mib: whole(),
      plugged_size_mib: whole(),
      requested_size_mib: whole(),
    },
  ),
  FirecrackerVersion: only({ firecracker_version: text }),
  Vsock,
  FullVmConfiguration: shape(
    {},
    {
      balloon: Balloon,
      drives: list(Drive),
      'boot-source': BootSource,
      'cpu-config': CpuConfig,
      logger: Logger,
      'machine-config': MachineConfiguration,
      metrics: Metrics,
      'memory-hotplug': MemoryHotplugConfig,
      'mmds-config': MmdsConfig,
      'network-interfaces': list(NetworkInterface),
      pmem: list(Pmem),
      vsock: Vsock,
      entropy: EntropyDevice,
    },
  ),
} as const

export type ShapeName = keyof typeof SHAPES
