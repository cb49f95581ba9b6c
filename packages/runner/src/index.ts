export type { BackendChoice } from './companion/choose-backend.ts'
export * from './companion/companion-runner.ts'
export type { ContainerPresence, DockerEnvironment } from './docker/docker-environment.ts'
export * from './docker/docker-options.ts'
export * from './docker/open-docker-environment.ts'
export { sweepContainers, type ContainerSweep, type SweepOptions } from './docker/sweep-containers.ts'
export * from './docker/sweep-docker.ts'
export * from './host-process.ts'
export type { HostProcessPipes } from './host-process-pipes.ts'
export type { PipeEnd } from './pipe-end.ts'
export * from './host-process-spec.ts'
export * from './launcher.ts'
export * from './open-launcher.ts'
export type { Variables } from './environment/environment-layers.ts'
export * from './environment/line.ts'
export * from './environment/open-standalone-environment.ts'
export * from './environment/proc.ts'
export * from './environment/runner-environment.ts'
export * from './host/ports.ts'
export {
  readUsage,
  sampleProcess,
  type ProcessSample,
  type ProcessState,
  type ProcessUsage,
  type SampleOptions,
} from './host/process-sample.ts'
export * from './host/requirements.ts'
export * from './native/open-runner.ts'
export * from './supervise/index.ts'
