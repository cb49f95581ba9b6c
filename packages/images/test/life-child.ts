import { life } from './life.ts'
import { StorePlace } from './test-store.ts'

// Lives until it is killed. Its folder is somebody else's to remove.
const place = new StorePlace(process.argv[2])
const store = await place.open()
process.stdout.write('alive\n')
for (;;) await life(place, store, new Set())
