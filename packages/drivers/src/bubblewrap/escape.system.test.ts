import { escapeStories } from '../../test/support/escape-stories.ts'
import { createBubblewrapDriver } from './driver.ts'

escapeStories('bwrap', createBubblewrapDriver)
