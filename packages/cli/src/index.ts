export { describeCommandLine, describeSettings, type SettingInfo } from './describe.ts'
export type { Io } from './io.ts'
export { main } from './main.ts'
export { projectSchema, templateSchema } from './project/schema.ts'
