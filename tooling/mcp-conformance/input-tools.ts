import {
  acceptedContent,
  inputRequired,
  inputResponse,
  type ElicitRequestFormParams,
  type McpServer,
  type RequestStateCodec,
} from '@modelcontextprotocol/server'
import * as z from 'zod'
import { text } from './samples.ts'

type FormSchema = ElicitRequestFormParams['requestedSchema']

const ask = (message: string, field: string, schema: FormSchema['properties'][string] = { type: 'string' }) =>
  inputRequired.elicit({
    message,
    requestedSchema: { type: 'object', properties: { [field]: schema }, required: [field] },
  })

const sample = (words: string, maxTokens: number) =>
  inputRequired.createMessage({ messages: [{ role: 'user', content: text(words) }], maxTokens })

/** Tools that need something from the client: by asking it in between, or by having it call again. */
export function addInputTools(server: McpServer, codec: RequestStateCodec<string>): void {
  addAskingTools(server)
  addRoundTools(server)
  addStateTools(server, codec)
}

const titled = (word: string) => [1, 2, 3].map((number) => ({ const: `value${number}`, title: `${word} ${number}` }))

function addAskingTools(server: McpServer): void {
  server.registerTool(
    'test_sampling',
    { description: 'Asks the model of the client.', inputSchema: z.object({ prompt: z.string() }) },
    async ({ prompt }, { mcpReq }) => {
      const messages = [{ role: 'user' as const, content: text(prompt) }]
      const { content } = await mcpReq.requestSampling({ messages, maxTokens: 100 })
      return { content: [text(`LLM response: ${'text' in content ? content.text : JSON.stringify(content)}`)] }
    },
  )
  server.registerTool(
    'test_elicitation',
    { description: 'Asks the user.', inputSchema: z.object({ message: z.string() }) },
    async ({ message }, { mcpReq }) => {
      const requestedSchema: FormSchema = {
        type: 'object',
        properties: {
          username: { type: 'string', description: "User's response" },
          email: { type: 'string', description: "User's email address" },
        },
        required: ['username', 'email'],
      }
      const { action, content } = await mcpReq.elicitInput({ mode: 'form', message, requestedSchema })
      return { content: [text(`User response: action=${action}, content=${JSON.stringify(content)}`)] }
    },
  )
  addFormTool(server, 'test_elicitation_sep1034_defaults', 'Please review the values', {
    type: 'object',
    properties: {
      name: { type: 'string', default: 'John Doe' },
      age: { type: 'integer', default: 30 },
      score: { type: 'number', default: 95.5 },
      status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
      verified: { type: 'boolean', default: true },
    },
    required: [],
  })
  addFormTool(server, 'test_elicitation_sep1330_enums', 'Please choose', {
    type: 'object',
    properties: {
      untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
      titledSingle: { type: 'string', oneOf: titled('Option') },
      legacyEnum: {
        type: 'string',
        enum: ['opt1', 'opt2', 'opt3'],
        enumNames: ['Option One', 'Option Two', 'Option Three'],
      },
      untitledMulti: { type: 'array', items: { type: 'string', enum: ['option1', 'option2', 'option3'] } },
      titledMulti: { type: 'array', items: { anyOf: titled('Choice') } },
    },
    required: [],
  })
}

function addFormTool(server: McpServer, name: string, message: string, requestedSchema: FormSchema): void {
  server.registerTool(name, { description: 'Asks the user with a form.' }, async ({ mcpReq }) => {
    const { action, content } = await mcpReq.elicitInput({ mode: 'form', message, requestedSchema })
    return { content: [text(`Elicitation completed: action=${action}, content=${JSON.stringify(content)}`)] }
  })
}

const named = z.object({ name: z.string() })

function addRoundTools(server: McpServer): void {
  server.registerTool(
    'test_input_required_result_elicitation',
    { description: 'Asks for a name.' },
    ({ mcpReq: { inputResponses } }) => {
      const answer = acceptedContent(inputResponses, 'user_name', named)
      if (answer !== undefined) return { content: [text(`Hello, ${answer.name}!`)] }
      return inputRequired({ inputRequests: { user_name: ask('What is your name?', 'name') } })
    },
  )
  server.registerTool(
    'test_input_required_result_sampling',
    { description: 'Asks the model.' },
    ({ mcpReq: { inputResponses } }) => {
      const answer = inputResponse(inputResponses, 'capital_question')
      if (answer.kind === 'sampling') return { content: [text(JSON.stringify(answer))] }
      return inputRequired({ inputRequests: { capital_question: sample('What is the capital of France?', 100) } })
    },
  )
  server.registerTool(
    'test_input_required_result_list_roots',
    { description: 'Asks for the roots.' },
    ({ mcpReq: { inputResponses } }) => {
      const answer = inputResponse(inputResponses, 'client_roots')
      if (answer.kind === 'roots') return { content: [text(JSON.stringify(answer.roots))] }
      return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } })
    },
  )
  server.registerTool('test_missing_capability', { description: 'Needs sampling.' }, () =>
    inputRequired({ inputRequests: { question: sample('Anything?', 10) } }),
  )
  server.registerTool(
    'test_input_required_result_capabilities',
    { description: 'Asks in whatever way the client can.' },
    () => {
      const can = server.server.getClientCapabilities() ?? {}
      const inputRequests = {
        ...(can.elicitation === undefined ? {} : { name: ask('What is your name?', 'name') }),
        ...(can.sampling === undefined ? {} : { greeting: sample('Generate a greeting', 50) }),
      }
      if (Object.keys(inputRequests).length > 0) return inputRequired({ inputRequests })
      return { content: [text('the client can do nothing')] }
    },
  )
}

function addStateTools(server: McpServer, codec: RequestStateCodec<string>): void {
  for (const name of ['test_input_required_result_request_state', 'test_input_required_result_tampered_state']) {
    server.registerTool(name, { description: 'Keeps state with the client.' }, async (context) => {
      const { inputResponses, requestState } = context.mcpReq
      if (inputResponses !== undefined && requestState<string>() === name) return { content: [text('state-ok')] }
      const inputRequests = { confirm: ask('Please confirm', 'ok', { type: 'boolean' }) }
      return inputRequired({ inputRequests, requestState: await codec.mint(name, context) })
    })
  }
  server.registerTool(
    'test_input_required_result_multiple_inputs',
    { description: 'Asks for several things.' },
    async (context) => {
      const answers = context.mcpReq.inputResponses
      const keys = ['user_name', 'greeting', 'client_roots']
      if (answers !== undefined && keys.every((key) => inputResponse(answers, key).kind !== 'missing')) {
        return { content: [text(JSON.stringify(answers))] }
      }
      const inputRequests = {
        user_name: ask('What is your name?', 'name'),
        greeting: sample('Generate a greeting', 50),
        client_roots: inputRequired.listRoots(),
      }
      return inputRequired({ inputRequests, requestState: await codec.mint('several', context) })
    },
  )
  server.registerTool('test_input_required_result_multi_round', { description: 'Asks twice.' }, async (context) => {
    const { inputResponses, requestState } = context.mcpReq
    const state = requestState<string>()
    const color = acceptedContent(inputResponses, 'step2', z.object({ color: z.string() }))
    if (state === 'second' && color !== undefined) return { content: [text(`Done: ${color.color}`)] }
    const name = acceptedContent(inputResponses, 'step1', named)
    if (state === 'first' && name !== undefined) {
      const inputRequests = { step2: ask('Step 2: What is your favorite color?', 'color') }
      return inputRequired({ inputRequests, requestState: await codec.mint('second', context) })
    }
    const inputRequests = { step1: ask('Step 1: What is your name?', 'name') }
    return inputRequired({ inputRequests, requestState: await codec.mint('first', context) })
  })
}
