import { CoveError, type GuestIdentity, type GuestMetrics } from '@cove/domain'
import { checkEnv, checkPath, checkText, checkWhole, invalid } from '../check.ts'
import type { Session } from '../session.ts'
import { CONFIGURE, ENTROPY_BYTES, METRICS, OPERATION, QUIESCE, SHUTDOWN, TOKEN_BYTES } from '../wire/tags.ts'
import { decode, openCall, request, simpleCall, untilClosed } from './call.ts'

export async function metrics(session: Session, signal: AbortSignal | undefined): Promise<GuestMetrics> {
  const channel = openCall(session, request(OPERATION.metrics), signal)
  const fields = await channel.opened
  const answer = decode(channel, () => ({
    at: fields.needNumber(METRICS.at),
    agentVersion: fields.needText(METRICS.agentVersion),
    uptimeMs: fields.needNumber(METRICS.uptimeMs),
    processes: fields.needNumber(METRICS.processes),
    memoryTotalBytes: fields.needNumber(METRICS.memoryTotal),
    memoryUsedBytes: fields.needNumber(METRICS.memoryUsed),
    diskTotalBytes: fields.needNumber(METRICS.diskTotal),
    diskUsedBytes: fields.needNumber(METRICS.diskUsed),
    loadAverage1: fields.needNumber(METRICS.load1) / 1000,
  }))
  await untilClosed(channel)
  return answer
}

export async function configure(
  session: Session,
  identity: GuestIdentity,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (identity.entropy.length !== ENTROPY_BYTES) throw invalid('entropy', `has not ${ENTROPY_BYTES} bytes`)
  const { token, user, workdir } = identity
  if (token !== undefined && token.length !== TOKEN_BYTES) throw invalid('token', `has not ${TOKEN_BYTES} bytes`)
  const fields = request(OPERATION.configure)
    .text(CONFIGURE.hostname, checkText('hostname', identity.hostname))
    .texts(CONFIGURE.env, checkEnv(identity.env))
    .bytes(CONFIGURE.entropy, identity.entropy)
    .number(CONFIGURE.clock, checkWhole('clock', identity.clock, 0, Number.MAX_SAFE_INTEGER))
  if (token !== undefined) fields.bytes(CONFIGURE.token, token)
  if (user !== undefined) fields.text(CONFIGURE.user, checkText('user', user))
  if (workdir !== undefined) fields.text(CONFIGURE.workdir, checkPath(workdir))
  const done = await simpleCall(session, fields, signal)
  for (const name of ['token', 'user', 'workdir'] as const) {
    if (identity[name] === undefined || done.truth(CONFIGURE[name]) === true) continue
    throw new CoveError(
      'unsupported',
      `the guest agent in the machine is older and does not know a ${name} of its own`,
      { field: name },
      { fix: 'Make the sandbox anew from its template, so that it has the agent of this version.' },
    )
  }
}

export async function quiesce(session: Session, on: boolean, signal: AbortSignal | undefined): Promise<void> {
  await simpleCall(session, request(OPERATION.quiesce).truth(QUIESCE.on, on), signal)
}

export async function shutdown(session: Session, graceMs: number, signal: AbortSignal | undefined): Promise<void> {
  const grace = checkWhole('graceMs', graceMs, 0, Number.MAX_SAFE_INTEGER)
  const channel = openCall(session, request(OPERATION.shutdown).number(SHUTDOWN.graceMs, grace), signal)
  // The agent ends without closing the channel.
  await channel.opened
}
