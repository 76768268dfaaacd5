/**
 * Where the nodes of a graph without cycles stand, in layers from left to right: the method of Sugiyama, Tagawa and Toda, "Methods
 * for Visual Understanding of Hierarchical System Structures" (IEEE Transactions on Systems, Man, and Cybernetics 11(2), 1981).
 *
 * 1. A node's layer is the longest way to it. An edge over several layers has a bend in each of those between.
 * 2. Layers are ordered by the mean place of their neighbours, to and fro, and the order with the fewest crossings is kept. These are
 *    counted as inversions (Barth, Jünger and Mutzel, "Simple and Efficient Bilayer Cross Counting", Graph Drawing 2002).
 * 3. A layer's places are those nearest to the means of their neighbours that keep order and distance: least squares, by
 *    pooling adjacent violators.
 *
 * Cost: O(rounds × E log E), E with the bends. Pixels; the same graph always stands alike.
 */
export interface GraphNode {
  readonly name: string
  /** Names of nodes before it; others are left out. */
  readonly after: ReadonlyArray<string>
}

export interface Point {
  readonly x: number
  readonly y: number
}

export interface Placed {
  readonly name: string
  readonly layer: number
  /** Its place in its layer, from the top. */
  readonly place: number
  /** Its left upper corner. */
  readonly at: Point
}

export interface Line {
  readonly from: string
  readonly to: string
  /** From the right side of a node by the bends to the left side of another one. */
  readonly points: ReadonlyArray<Point>
}

export interface Layout {
  readonly nodes: ReadonlyArray<Placed>
  readonly lines: ReadonlyArray<Line>
  readonly width: number
  readonly height: number
}

export const sizes = { width: 196, height: 62, across: 116, down: 22, bend: 26, edge: 12 } as const

/** How often all layers are gone through; less often where that takes long. */
const roundsOf = (layers: ReadonlyArray<ReadonlyArray<Cell>>): number =>
  layers.reduce((many, layer) => many + layer.length, 0) > 2000 ? 2 : 8

/** A node, or a bend of an edge. */
interface Cell {
  readonly name: string | undefined
  readonly layer: number
  readonly before: Array<Cell>
  readonly behind: Array<Cell>
  place: number
  y: number
}

const sum = (values: ReadonlyArray<number>): number => values.reduce((a, b) => a + b, 0)
const mean = (values: ReadonlyArray<number>): number => sum(values) / values.length

export const layout = (graph: ReadonlyArray<GraphNode>): Layout => {
  const { chains, layers } = layered(graph)
  order(layers)
  straighten(layers)
  const cells = layers.flat()
  const top = Math.min(...cells.map((cell) => cell.y - halfOf(cell)))
  for (const cell of cells) cell.y += sizes.edge - top
  const x = (layer: number) => sizes.edge + layer * (sizes.width + sizes.across)
  return {
    nodes: cells.flatMap(({ layer, name, place, y }) =>
      name === undefined ? [] : [{ name, layer, place, at: { x: x(layer), y: y - sizes.height / 2 } }]
    ),
    lines: chains.map((chain) => ({
      from: chain[0]!.name!,
      to: chain.at(-1)!.name!,
      points: chain.flatMap(({ layer, y }, i) => [
        ...i === 0 ? [] : [{ x: x(layer), y }],
        ...i === chain.length - 1 ? [] : [{ x: x(layer) + sizes.width, y }]
      ])
    })),
    width: x(layers.length - 1) + sizes.width + sizes.edge,
    height: Math.max(...cells.map((cell) => cell.y + halfOf(cell))) + sizes.edge
  }
}

/** Cells by layer, and the cells that each edge goes by. */
const layered = (graph: ReadonlyArray<GraphNode>) => {
  const nodes = new Map<string, Cell>()
  const layers: Array<Array<Cell>> = []
  const chains: Array<ReadonlyArray<Cell>> = []
  const put = (name: string | undefined, layer: number): Cell => {
    const cell: Cell = { name, layer, before: [], behind: [], place: 0, y: 0 }
    ;(layers[layer] ??= []).push(cell)
    return cell
  }
  for (const { after, name } of graph) {
    const sources = [...new Set(after)].flatMap((other) => nodes.get(other) ?? [])
    const cell = put(name, Math.max(-1, ...sources.map(({ layer }) => layer)) + 1)
    nodes.set(name, cell)
    for (const source of sources) {
      const chain = [source]
      for (let layer = source.layer + 1; layer < cell.layer; layer++) chain.push(put(undefined, layer))
      chain.push(cell)
      for (let i = 1; i < chain.length; i++) {
        chain[i]!.before.push(chain[i - 1]!)
        chain[i - 1]!.behind.push(chain[i]!)
      }
      chains.push(chain)
    }
  }
  return { layers, chains }
}

const number = (layer: ReadonlyArray<Cell>): void => layer.forEach((cell, place) => void (cell.place = place))

const order = (layers: Array<Array<Cell>>): void => {
  layers.forEach(number)
  let best = layers.map((layer) => [...layer])
  let fewest = crossings(layers)
  const rounds = roundsOf(layers)
  for (let round = 0; round < rounds && fewest > 0; round++) {
    const isForward = round % 2 === 0
    for (const layer of isForward ? layers : layers.toReversed()) {
      const wanted = new Map(layer.map((cell) => {
        const near = isForward ? cell.before : cell.behind
        return [cell, near.length === 0 ? cell.place : mean(near.map(({ place }) => place))]
      }))
      layer.sort((a, b) => wanted.get(a)! - wanted.get(b)!)
      number(layer)
    }
    const found = crossings(layers)
    if (found < fewest) {
      fewest = found
      best = layers.map((layer) => [...layer])
    }
  }
  best.forEach((layer, i) => {
    layers[i] = layer
    number(layer)
  })
}

const crossings = (layers: ReadonlyArray<ReadonlyArray<Cell>>): number =>
  sum(layers.map((layer, i) =>
    inversions(
      layer.flatMap(({ behind }) => behind.map(({ place }) => place).toSorted((a, b) => a - b)),
      layers[i + 1]?.length ?? 0
    )
  ))

/** How many pairs stand the wrong way round, by a tree of sums (Fenwick). */
const inversions = (places: ReadonlyArray<number>, size: number): number => {
  const tree = new Array<number>(size + 1).fill(0)
  let found = 0
  places.forEach((place, seen) => {
    let notAbove = 0
    for (let i = place + 1; i > 0; i -= i & -i) notAbove += tree[i]!
    found += seen - notAbove
    for (let i = place + 1; i <= size; i += i & -i) tree[i]!++
  })
  return found
}

const halfOf = ({ name }: Cell): number => (name === undefined ? sizes.bend : sizes.height) / 2

const straighten = (layers: ReadonlyArray<ReadonlyArray<Cell>>): void => {
  for (const layer of layers) settle(layer, layer.map(() => 0))
  const rounds = roundsOf(layers)
  for (let round = 0; round < rounds; round++) {
    const isForward = round % 2 === 0
    for (const layer of isForward ? layers : layers.toReversed()) {
      settle(
        layer,
        layer.map((cell) => {
          const near = isForward ? cell.before : cell.behind
          return near.length === 0 ? cell.y : mean(near.map(({ y }) => y))
        })
      )
    }
  }
}

/** Puts the cells of a layer as near to where they are wanted as their order and distances allow. */
const settle = (layer: ReadonlyArray<Cell>, wanted: ReadonlyArray<number>): void => {
  const offsets: Array<number> = []
  layer.forEach((cell, i) => {
    offsets.push(i === 0 ? 0 : offsets[i - 1]! + halfOf(layer[i - 1]!) + sizes.down + halfOf(cell))
  })
  const blocks: Array<{ readonly total: number; readonly many: number }> = []
  wanted.forEach((y, i) => {
    let block = { total: y - offsets[i]!, many: 1 }
    for (let last = blocks.at(-1); last !== undefined; last = blocks.at(-1)) {
      if (last.total / last.many <= block.total / block.many) break
      blocks.pop()
      block = { total: last.total + block.total, many: last.many + block.many }
    }
    blocks.push(block)
  })
  let i = 0
  for (const { many, total } of blocks) {
    for (const end = i + many; i < end; i++) layer[i]!.y = total / many + offsets[i]!
  }
}
