import type { Role } from '@cove/domain'

/** The least role for each method of the API. What is not named here is for admins only; a test holds that all are. */
const NEEDS: Readonly<Record<string, Role>> = {
  'SandboxService/CreateSandbox': 'member',
  'SandboxService/GetSandbox': 'viewer',
  'SandboxService/ListSandboxes': 'viewer',
  'SandboxService/WatchSandboxes': 'viewer',
  'SandboxService/StopSandbox': 'member',
  'SandboxService/StartSandbox': 'member',
  'SandboxService/PauseSandbox': 'member',
  'SandboxService/ResumeSandbox': 'member',
  'SandboxService/ForkSandbox': 'member',
  'SandboxService/UpdateSandboxLimits': 'member',
  'SandboxService/GetSandboxStats': 'viewer',
  'SnapshotService/CreateSnapshot': 'member',
  'SnapshotService/GetSnapshot': 'viewer',
  'SnapshotService/ListSnapshots': 'viewer',
  'SnapshotService/DeleteSnapshot': 'member',
  'VolumeService/CreateVolume': 'member',
  'VolumeService/GetVolume': 'viewer',
  'VolumeService/ListVolumes': 'viewer',
  'VolumeService/DeleteVolume': 'member',
  'ImageService/ListImages': 'admin',
  'ImageService/PullImage': 'member',
  'ImageService/DeleteImage': 'admin',
  'ImageService/PruneImages': 'admin',
  // Machines that nobody has asked for cost memory.
  'PoolService/SetPool': 'admin',
  'PoolService/ListPools': 'viewer',
  'PoolService/DeletePool': 'admin',
  'SandboxService/UpdateSandboxTimeouts': 'member',
  'SandboxService/DeleteSandbox': 'member',
  'ProcessService/StartProcess': 'member',
  'ProcessService/RunProcess': 'member',
  'ProcessService/AttachProcess': 'viewer',
  'ProcessService/ListProcesses': 'viewer',
  'ProcessService/WriteStdin': 'member',
  'ProcessService/SignalProcess': 'member',
  'ProcessService/ResizeTerminal': 'member',
  'FileService/StatFile': 'viewer',
  'FileService/ListFiles': 'viewer',
  'FileService/MakeDirectory': 'member',
  'FileService/MoveFile': 'member',
  'FileService/RemoveFile': 'member',
  'FileService/ChangeMode': 'member',
  'FileService/MakeSymlink': 'member',
  'FileService/WatchFiles': 'viewer',
  'FileService/SignFileUrl': 'viewer',
  'PortService/ListPorts': 'viewer',
  'PortService/SharePort': 'member',
  'PortService/UnsharePort': 'member',
  'PortService/CreatePreviewUrl': 'viewer',
  'TemplateService/ListTemplates': 'viewer',
  'TemplateService/GetTemplate': 'viewer',
  'TemplateService/BuildTemplate': 'member',
  'TemplateService/FollowBuild': 'viewer',
  'TemplateService/CancelBuild': 'member',
  'TemplateService/DeleteTemplate': 'member',
  'SystemService/GetStatus': 'viewer',
  // It runs a machine of every driver.
  'SystemService/Diagnose': 'admin',
  'IdentityService/GetCaller': 'viewer',
  'IdentityService/CreateProject': 'admin',
  'IdentityService/ListProjects': 'viewer',
  'IdentityService/DeleteProject': 'admin',
  'IdentityService/CreateKey': 'admin',
  'IdentityService/ListKeys': 'admin',
  'IdentityService/RevokeKey': 'admin',
  'IdentityService/CreateSandboxToken': 'member',
  'IdentityService/ListAuditEvents': 'admin',
}

/** `service` is the full name of the protocol, such as `cove.v1.SandboxService`. */
export function neededRole(service: string, method: string): Role {
  return NEEDS[`${service.replace(/^cove\.v1\./, '')}/${method}`] ?? 'admin'
}

/** True when somebody has decided who may call it. */
export function isDecided(service: string, method: string): boolean {
  return `${service.replace(/^cove\.v1\./, '')}/${method}` in NEEDS
}
