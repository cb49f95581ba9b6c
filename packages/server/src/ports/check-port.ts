import { bad } from '../sandboxes/request.ts'

export function checkPort(port: number): number {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw bad('port', 'must be 1 to 65535')
  return port
}
