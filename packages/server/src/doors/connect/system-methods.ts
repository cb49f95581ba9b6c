import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import type { SystemService, TemplateService } from '@cove/api'
import { CoveError, type NodeClient } from '@cove/domain'
import type { Template } from '../../options.ts'
import type { Sandboxes } from '../../sandboxes/sandboxes.ts'
import type { Methods } from './call.ts'
import { toDriver } from './to-wire.ts'

export interface Installation {
  readonly version: string
  readonly installation: string
  /** Unix milliseconds. */
  readonly startedAt: number
}

export function systemMethods(
  facts: Installation,
  sandboxes: Sandboxes,
  node: NodeClient,
): Methods<typeof SystemService> {
  return {
    async getStatus(_request, { caller, signal }) {
      return {
        version: facts.version,
        installation: facts.installation,
        startedAt: timestampFromMs(facts.startedAt),
        drivers: (await node.drivers(signal)).map(toDriver),
        sandboxes: { ...sandboxes.count(caller) },
        residentBytes: BigInt(process.memoryUsage.rss()),
      }
    },
    async diagnose(_request, { signal }) {
      return { drivers: (await node.diagnose(signal)).map(toDriver) }
    },
  }
}

export function templateMethods(templates: readonly Template[], node: NodeClient): Methods<typeof TemplateService> {
  const describe = async (template: Template, signal: AbortSignal) => {
    const proven = (await node.drivers(signal)).filter(({ fingerprint }) => fingerprint.proven)
    return { ...template, drivers: proven.map(({ name }) => name) }
  }
  return {
    async listTemplates(_request, { signal }) {
      return { templates: await Promise.all(templates.map((template) => describe(template, signal))) }
    },
    async getTemplate({ name }, { signal }) {
      const template = templates.find((one) => one.name === name)
      if (template === undefined) {
        throw new CoveError('template-not-found', `there is no template ${JSON.stringify(name.slice(0, 80))}`)
      }
      return { template: await describe(template, signal) }
    },
  }
}
