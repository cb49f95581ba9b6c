export {
  CoveError,
  ERROR_CODES,
  ROLES,
  describeExit,
  shellStatus,
  type AttachFrom,
  type Clock,
  type EndReason,
  type ErrorCode,
  type ErrorContext,
  type Exit,
  type FileEvent,
  type FileType,
  type Isolation,
  type LimitName,
  type LimitReport,
  type Network,
  type OutputStream,
  type ProcessEvent,
  type Role,
  type SandboxState,
  type TerminalSize,
  type Timeout,
} from '@cove/domain'
export type { CreateTokenOptions, SandboxToken, SignedUrl, SignUrlOptions } from './access.ts'
export { Audit, type AuditFilter } from './audit.ts'
export type { CallOptions } from './call-options.ts'
export { isRuntime, runtimeProgram, RUNTIME_NAMES, type CommandOptions, type Runtime } from './command.ts'
export { Cove, type CoveOptions } from './cove.ts'
export type { FileInfo } from './file-info.ts'
export type {
  FileContent,
  FileOptions,
  ListFilesOptions,
  MakeDirectoryOptions,
  ReadOptions,
  RemoveOptions,
  WatchFilesOptions,
  WriteOptions,
} from './file-options.ts'
export { Files } from './files.ts'
export type { AuditEvent, CallerInfo, KeyInfo, ProjectInfo } from './identity-info.ts'
export type { Environment } from './installation.ts'
export { Images, type PullProgress, type StoredImageInfo } from './images.ts'
export { Keys, type CreateKeyOptions, type ListKeysOptions, type NewKey } from './keys.ts'
export { Pages, type Page } from './pages.ts'
export { Pools, type PoolInfo, type PoolOptions } from './pools.ts'
export type { PortInfo } from './port-info.ts'
export { Ports, type PreviewUrlOptions, type ShareOptions } from './ports.ts'
export type { ProcessInfo } from './process-info.ts'
export { Process, type ProcessEnd } from './process.ts'
export { Processes, type AttachOptions } from './processes.ts'
export { Projects, type CreateProjectOptions } from './projects.ts'
export type { OutputPart, ReadOutputOptions } from './read-output.ts'
export type { RunOptions } from './run-command.ts'
export { RunResult } from './run-result.ts'
export type { SandboxInfo } from './sandbox-info.ts'
export type {
  CreateOptions,
  ForkOptions,
  LimitOptions,
  ListFilter,
  ListOptions,
  PauseOptions,
  SandboxStats,
  StopOptions,
  TimeoutUpdate,
} from './sandbox-options.ts'
export { Sandbox, SandboxRef } from './sandbox.ts'
export type { StartOptions } from './start-options.ts'
export type { SandboxEvent } from './sandbox-watch.ts'
export { Sandboxes, type Fork, type WatchOptions } from './sandboxes.ts'
export { SIGNALS, signalName, signalNumber, type SignalName } from './signals.ts'
export {
  Snapshots,
  type ArchiveFormat,
  type SnapshotArchive,
  type SnapshotInfo,
  type SnapshotKind,
  type SnapshotOptions,
} from './snapshots.ts'
export { System, type DriverInfo, type SystemStatus } from './system.ts'
export type { ContextFiles } from './templates/build-context.ts'
export { TemplateBuild, type BuildEvent } from './templates/template-build.ts'
export type { StartInfo, TemplateInfo, TemplateMemoryInfo } from './templates/template-info.ts'
export { Template, type CopyOptions, type ReadyOptions } from './templates/template.ts'
export { Templates, type BuildTemplateOptions } from './templates/templates.ts'
export type { TransferOptions, TransferProgress, TransferSummary } from './transfer/options.ts'
export type { ConnectOptions, ForwardEvent, ForwardOptions, PortConnection, PortForward } from './tunnel/types.ts'
export { Volumes, type CreateVolumeOptions, type VolumeInfo, type VolumeMount } from './volumes.ts'
export type { Fetch } from './wire/fetch-http.ts'
export type { HttpBody } from './wire/http.ts'
export type { RetryParts, RetryPolicy } from './wire/retry.ts'
