import { TemplateService, type BuildStepSchema, type StartCommandSchema } from '@cove/api'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { CoveError, type Network } from '@cove/domain'
import type { CallOptions } from '../call-options.ts'
import { limitsInit } from '../convert/limits.ts'
import { networkInit } from '../convert/sandbox.ts'
import { durationOf } from '../convert/time.ts'
import type { LimitOptions } from '../sandbox-options.ts'
import type { HttpRequest } from '../wire/http.ts'
import type { Rpc } from '../wire/rpc.ts'
import { contextOfFiles, type BuildContext } from './build-context.ts'
import { TemplateBuild } from './template-build.ts'
import { templateInfo, type TemplateInfo } from './template-info.ts'
import { argvOf, type Template, type TemplateStep } from './template.ts'

const MAX_ANSWER_BYTES = 4_096

/** How a template is built. */
export interface BuildTemplateOptions extends CallOptions {
  /** `name` or `name:tag`; the tag is `latest` unless it is named. */
  readonly name: string
  /** Paths of `copy` are relative to it. Default on Node: the current directory. */
  readonly context?: string
  /** Does every step again. Default false. */
  readonly noCache?: boolean
  /** Carries out the steps, and keeps its memory. Default: the one that creates without a wish get, or that can. */
  readonly driver?: string
  /** For the machines that carry out the steps. */
  readonly buildLimits?: LimitOptions
  /** In place of the template's own. */
  readonly network?: 'none' | 'internet' | Network
  /** In place of the template's own: kept with its memory, for sandboxes with this network. */
  readonly memory?: 'none' | 'internet' | Network
}

/** The templates of the caller's project, and those of every installation. */
export class Templates {
  readonly #rpc: Rpc

  /** @internal */
  constructor(rpc: Rpc) {
    this.#rpc = rpc
  }

  /**
   * Sends what the steps copy, as far as it is not there, and begins the build. It goes on by itself: `result()` waits
   * for it, its events tell what it does.
   */
  async build(template: Template, options: BuildTemplateOptions): Promise<TemplateBuild> {
    const { source, steps, start, description, limits, network } = template.parts
    const memory = options.memory ?? template.parts.memory
    const sent: MessageInitShape<typeof BuildStepSchema>[] = []
    for (const step of steps) sent.push(await this.#stepInit(step, options))
    const request = {
      name: options.name,
      source,
      steps: sent,
      ...(start === undefined ? {} : { start: startInit(start) }),
      limits: limitsInit(limits ?? {}),
      description: description ?? '',
      noCache: options.noCache ?? false,
      driver: options.driver ?? '',
      network: networkInit(options.network ?? network ?? 'none'),
      buildLimits: limitsInit(options.buildLimits ?? {}),
      ...(memory === undefined ? {} : { memory: true, memoryNetwork: networkInit(memory) }),
    }
    const { build } = await this.#rpc.unary(TemplateService.method.buildTemplate, request, options)
    return new TemplateBuild(this.#rpc, build)
  }

  /** One that was begun earlier, by its id. */
  buildOf(id: string): TemplateBuild {
    return new TemplateBuild(this.#rpc, id)
  }

  /** Those of every installation first, then those of the project by name. */
  async list(call: CallOptions = {}): Promise<TemplateInfo[]> {
    const { templates } = await this.#rpc.unary(TemplateService.method.listTemplates, {}, call)
    return templates.map(templateInfo)
  }

  /** `name` or `name:tag`. `template-not-found` when it is not there. */
  async get(name: string, call: CallOptions = {}): Promise<TemplateInfo> {
    const { template } = await this.#rpc.unary(TemplateService.method.getTemplate, { name }, call)
    if (template === undefined) throw new CoveError('internal', 'the server answered without a template')
    return templateInfo(template)
  }

  /** Twice is no error. Sandboxes that were made of it go on. */
  async remove(name: string, call: CallOptions = {}): Promise<void> {
    await this.#rpc.unary(TemplateService.method.deleteTemplate, { name }, { ...call, idempotent: true })
  }

  async #stepInit(
    step: TemplateStep,
    options: BuildTemplateOptions,
  ): Promise<MessageInitShape<typeof BuildStepSchema>> {
    switch (step.kind) {
      case 'run':
        return { step: { case: 'run', value: step.command } }
      case 'env':
        return { step: { case: 'env', value: { env: { ...step.env } } } }
      case 'workdir':
        return { step: { case: 'workdir', value: step.path } }
      case 'user':
        return { step: { case: 'user', value: step.user } }
      case 'copy': {
        const { context, to } = await packed(step, options.context)
        await this.#send(context, options)
        const { uid, gid } = step.options
        const owner = { ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }) }
        return { step: { case: 'copy', value: { context: context.digest, to, ...owner } } }
      }
    }
  }

  async #send({ digest, content }: BuildContext, options: CallOptions): Promise<void> {
    const path = `/v1/template-contexts/${encodeURIComponent(digest)}`
    await this.#rpc.retrying(true, options, async (signal) => {
      const ending = signal === undefined ? {} : { signal }
      if (await this.#has({ method: 'HEAD', path, headers: {}, ...ending })) return
      const headers = { 'content-type': 'application/x-tar' }
      const response = await this.#rpc.exchange({ method: 'PUT', path, headers, body: content(), ...ending })
      await response.bytes(MAX_ANSWER_BYTES)
    })
  }

  async #has(call: HttpRequest): Promise<boolean> {
    try {
      await (await this.#rpc.exchange(call)).bytes(MAX_ANSWER_BYTES)
      return true
    } catch (thrown) {
      // An answer to HEAD has no body that could say more than its status.
      if (thrown instanceof CoveError && thrown.code === 'unsupported') return false
      throw thrown
    }
  }
}

async function packed(
  { from, to, options: { ignore = [] } }: Extract<TemplateStep, { kind: 'copy' }>,
  root = '.',
): Promise<{ readonly context: BuildContext; readonly to: string }> {
  if (typeof from !== 'string') return { context: await contextOfFiles(from), to }
  const { packFolder } = await import('#transfer')
  return await packFolder({ root, from, to, ignore })
}

function startInit({
  argv,
  ready,
}: NonNullable<Template['parts']['start']>): MessageInitShape<typeof StartCommandSchema> {
  if (ready === undefined) return { argv: [...argv] }
  const { port, command, timeoutMs } = ready
  return {
    argv: [...argv],
    ready: {
      ...(port === undefined ? {} : { port }),
      ...(command === undefined ? {} : { command: argvOf(command) }),
      ...(timeoutMs === undefined ? {} : { timeout: durationOf(timeoutMs) }),
    },
  }
}
