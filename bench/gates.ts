/**
 * What CI refuses: gross regressions only, on ratios and on figures that hardly depend on the machine's mood. The
 * promises themselves stand in SPECIFICATION.md. Each figure has a least and a most.
 */
export const GATES: Readonly<Record<string, Readonly<Record<string, readonly [number, number]>>>> = {
  create: { ratio: [0, 5] },
  exec: { ratio: [0, 8] },
  output: { ratio: [0.12, 10] },
  files: { ratio: [0.2, 10], daemon_growth_mib: [-1000, 200] },
  churn: { per_second: [20, 100_000] },
  stall: { ratio: [0, 0.5] },
  launcher: { p50_ms: [0, 6] },
  idle: { mib: [0, 2] },
  density: { p99_ms: [0, 100], daemon_rss_mib: [0, 300] },
  'mcp-execute': { over_ms: [-1000, 5] },
  'mcp-create': { over_ms: [-1000, 3] },
  adopt: { ratio: [0, 8] },
  network: { ratio: [0, 12], extra_mib: [0, 8], gbit_per_s: [0.5, 1000] },
  // Four processes take turns on the way in, one on the way beside it: on a busy machine the ratios fall to a third.
  preview: { ratio: [0.04, 10], throughput_ratio: [0.08, 10], per_second: [400, 1_000_000] },
  'runner-output': { ratio: [0.15, 10], endless_line_growth_mib: [-1000, 250] },
  'crun-create': { ratio: [0, 6] },
  'gvisor-create': { ratio: [0, 3] },
  'gvisor-fork': { ratio: [0, 4] },
  'pool-claim': {
    bubblewrap_p50_ms: [0, 40],
    crun_p50_ms: [0, 40],
    runc_p50_ms: [0, 40],
    gvisor_p50_ms: [0, 120],
    docker_p50_ms: [0, 60],
    containerd_p50_ms: [0, 40],
  },
  'image-pull': { ratio: [0, 3], again_p50_ms: [0, 25], growth_mib: [-1000, 150] },
  'docker-create': { ratio: [0, 3], exec_gain: [5, 100_000] },
  'container-idle': { mib: [0, 6] },
  'containerd-create': { ratio: [0, 2.5], mib: [0, 3] },
  'runner-sweep': { p50_ms: [0, 4000] },
  install: { p50_ms: [0, 15_000], package_mib: [0, 4] },
}
