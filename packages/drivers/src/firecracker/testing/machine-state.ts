import type { BodyOf } from '../api-contract.ts'

/** What a machine consists of, as it has been asked for. */
export interface MachineState {
  config: BodyOf<'PUT /machine-config'>
  bootSource?: BodyOf<'PUT /boot-source'>
  drives: BodyOf<'PUT /drives/{drive_id}'>[]
  interfaces: BodyOf<'PUT /network-interfaces/{iface_id}'>[]
  vsock?: BodyOf<'PUT /vsock'>
  balloon?: BodyOf<'PUT /balloon'>
  entropy?: BodyOf<'PUT /entropy'>
}
