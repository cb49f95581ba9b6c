type Labels = Readonly<Record<string, string>>

interface Family {
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** What stands behind the name, and the value. */
  readonly samples: () => Iterable<readonly [string, number]>
}

/** Label combinations of one family: more would mean that something from outside became a label. */
const MOST_SERIES = 200

/** Upper bounds in seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60]

/** A small registry in the text format of Prometheus. */
export class MetricsRegistry {
  readonly #families = new Map<string, Family>()

  counter(name: string, help: string): (labels?: Labels) => void {
    const values = new Map<string, number>()
    this.#families.set(name, { help, type: 'counter', samples: () => values })
    return (labels = {}) => {
      const key = renderLabels(labels)
      if (values.size < MOST_SERIES || values.has(key)) values.set(key, (values.get(key) ?? 0) + 1)
    }
  }

  /** Read when it is asked for. */
  gauge(name: string, help: string, collect: () => Iterable<readonly [Labels, number]>): void {
    const samples = () => [...collect()].map(([labels, value]) => [renderLabels(labels), value] as const)
    this.#families.set(name, { help, type: 'gauge', samples })
  }

  /** Takes seconds. */
  histogram(name: string, help: string): (seconds: number) => void {
    const counts = BUCKETS.map(() => 0)
    let sum = 0
    let count = 0
    const samples = (): (readonly [string, number])[] => [
      ...BUCKETS.map((bound, at) => [`_bucket{le="${bound}"}`, counts[at] ?? 0] as const),
      ['_bucket{le="+Inf"}', count],
      ['_sum', sum],
      ['_count', count],
    ]
    this.#families.set(name, { help, type: 'histogram', samples })
    return (seconds) => {
      sum += seconds
      count++
      for (let at = BUCKETS.length - 1; at >= 0 && seconds <= (BUCKETS[at] ?? 0); at--)
        counts[at] = (counts[at] ?? 0) + 1
    }
  }

  render(): string {
    let text = ''
    for (const [name, { help, type, samples }] of this.#families) {
      text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`
      for (const [rest, value] of samples()) text += `${name}${rest} ${value}\n`
    }
    return text
  }
}

const ODD = /["\\\n]/

function renderLabels(labels: Labels): string {
  let parts = ''
  for (const name of Object.keys(labels)) {
    const value = labels[name] ?? ''
    parts += `${parts === '' ? '' : ','}${name}="${ODD.test(value) ? value.replaceAll(/["\\\n]/g, '_') : value}"`
  }
  return parts === '' ? '' : `{${parts}}`
}
