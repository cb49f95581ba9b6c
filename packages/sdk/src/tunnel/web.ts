import { CoveError } from '@cove/domain'

function unsupported(): never {
  throw new CoveError(
    'unsupported',
    'this runtime has no TCP connections of its own',
    {},
    { fix: 'Use the address of the port: `sandbox.ports.list`, `sandbox.ports.previewUrl`.' },
  )
}

export const connectPort = unsupported
export const forwardPort = unsupported
