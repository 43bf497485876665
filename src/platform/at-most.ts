/** The options of an `LRUCache` of so many entries. With its `max`, memory for all of them would be taken at once. */
export const atMost = (entries: number) => ({ maxSize: entries, sizeCalculation: () => 1 })
