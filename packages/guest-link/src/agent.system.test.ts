import { guestConformance } from './conformance/guest-conformance.ts'
import { startAgent } from './testing/agent-process.ts'

const users = process.getuid?.() === 0

guestConformance('the agent on a socket', () => startAgent(false), { singleStream: false, real: true, users })
guestConformance('the agent over a bridge', () => startAgent(false, true), { singleStream: false, real: true, users })
guestConformance('the agent on a single stream', () => startAgent(true), { singleStream: true, real: true, users })
