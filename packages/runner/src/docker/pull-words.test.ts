import { expect, test } from 'vitest'
import { PullWords } from './pull-words.ts'

test('a few words are made of many steps', () => {
  const said: string[] = []
  let now = 0
  const words = new PullWords(
    'box:1',
    (step) => void said.push(step),
    () => now,
  )
  words.step({ status: 'Pulling from library/box', layer: '1' })
  for (let done = 0; done <= 1000; done += 1) {
    now += 1
    words.step({ status: 'Downloading', layer: 'a', currentBytes: done * 10_000, totalBytes: 10_000_000 })
    if (done === 500) words.step({ status: 'Already exists', layer: 'b' })
  }
  words.step({ status: 'Download complete', layer: 'a' })
  words.step({ status: 'Pull complete', layer: 'a' })
  words.end()
  words.end()
  expect(said).toEqual([
    'pulling box:1',
    'pulling box:1: 0 of 1 layers, 5.0 of 10.0 MB',
    'pulling box:1: 1 of 2 layers, 10.0 of 10.0 MB',
    'pulling box:1: 2 of 2 layers, 10.0 of 10.0 MB',
  ])
})
