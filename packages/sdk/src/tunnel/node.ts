export { connectPort } from './connect.ts'
export { forwardPort } from './forward.ts'
