export { openDockerEngine, type DockerEngine } from './docker-engine.ts'
export { findEngineAddress, parseEngineAddress, type EngineAddress, type EngineEnvironment } from './engine-address.ts'
export type {
  Container,
  ContainerChange,
  ContainerSpec,
  ContainerState,
  ContainerSummary,
  Created,
  MountPoint,
  PortBinding,
} from './containers.ts'
export type { EngineEvent } from './engine-events.ts'
export type { PathStat } from './path-stat.ts'
export type { ExecSpec, ExecState } from './execs.ts'
export type { ContainerStats } from './container-stats.ts'
export type { EngineInfo } from './engine-info.ts'
export type { Image, ImageSummary, PullProgress } from './images.ts'
export type { Attached } from './attached.ts'
export { demultiplex, type EngineStream } from './stdcopy.ts'
