export { describeCommandLine, describeSettings, type SettingInfo } from './describe.ts'
export type { Io } from './io.ts'
export { main } from './main.ts'
export { projectSchema } from './project/schema.ts'
