//! Contraction: taking nodes that do nothing out of an acyclic graph without losing an order between the others.

/// A graph as the list of what each node needs; the nodes that were taken out need nothing and are needed by nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contracted {
    /// What each node needs, sorted, each once.
    pub needs: Vec<Vec<u32>>,
    /// The nodes that were taken out.
    pub gone: Vec<bool>,
}

impl Contracted {
    /// Starts from a graph as it is. `needs[v]` are the nodes that must come before `v`.
    pub fn new(mut needs: Vec<Vec<u32>>) -> Contracted {
        for list in &mut needs {
            list.sort_unstable();
            list.dedup();
        }
        Contracted {
            gone: vec![false; needs.len()],
            needs,
        }
    }

    /// Takes out every node that may go and has at most one edge on one of its sides, until there is none left.
    ///
    /// What came before such a node comes before what followed it, so reachability between the others is unchanged, and
    /// since one side has at most one edge, no step adds an edge. `order` is any order in which needs come first. Each
    /// pass is linear; there are as many passes as diamonds of such nodes stand inside each other, which the catalogue
    /// bounds and the number of hosts does not.
    pub fn contract(&mut self, order: &[u32], may_go: impl Fn(u32) -> bool) {
        loop {
            let mut followers = vec![0u32; self.needs.len()];
            for need in self.needs.iter().flatten() {
                followers[*need as usize] += 1;
            }
            let mut changed = false;
            for &node in order {
                let at = node as usize;
                if self.gone[at] {
                    continue;
                }
                self.bridge(at);
                if may_go(node) && (self.needs[at].len() <= 1 || followers[at] <= 1) {
                    self.gone[at] = true;
                    changed = true;
                }
            }
            // Everything that needed a gone node has its needs now, so the list would only count edges that are not there.
            for (list, gone) in self.needs.iter_mut().zip(&self.gone) {
                if *gone {
                    list.clear();
                }
            }
            if !changed {
                break;
            }
        }
    }

    /// Puts what gone nodes needed in their place.
    fn bridge(&mut self, node: usize) {
        if !self.needs[node].iter().any(|need| self.gone[*need as usize]) {
            return;
        }
        let old = std::mem::take(&mut self.needs[node]);
        let mut new = Vec::with_capacity(old.len());
        for need in old {
            if self.gone[need as usize] {
                new.extend_from_slice(&self.needs[need as usize]);
            } else {
                new.push(need);
            }
        }
        new.sort_unstable();
        new.dedup();
        self.needs[node] = new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contracted(needs: &[&[u32]], may_go: &[u32]) -> Contracted {
        let mut graph = Contracted::new(needs.iter().map(|list| list.to_vec()).collect());
        let order: Vec<u32> = (0..needs.len() as u32).collect();
        graph.contract(&order, |node| may_go.contains(&node));
        graph
    }

    #[test]
    fn a_chain_loses_its_middle_and_keeps_its_order() {
        let graph = contracted(&[&[], &[0], &[1], &[2]], &[1, 2]);
        assert_eq!(graph.needs, [vec![], vec![], vec![], vec![0]]);
        assert_eq!(graph.gone, [false, true, true, false]);
    }

    #[test]
    fn a_node_with_several_edges_on_both_sides_stays() {
        let graph = contracted(&[&[], &[], &[0, 1], &[2], &[2]], &[2]);
        assert_eq!(graph.needs, [vec![], vec![], vec![0, 1], vec![2], vec![2]]);
        assert_eq!(graph.gone, [false; 5]);
    }

    #[test]
    fn a_joint_goes_when_a_diamond_of_skips_leaves_it_one_follower() {
        let graph = contracted(&[&[], &[], &[0, 1], &[2], &[2], &[3, 4]], &[2, 3, 4]);
        assert_eq!(graph.needs[5], [0, 1]);
        assert_eq!(graph.gone, [false, false, true, true, true, false]);
    }

    #[test]
    fn a_skip_at_either_end_just_goes() {
        let graph = contracted(&[&[], &[0], &[1]], &[0, 2]);
        assert_eq!(graph.needs, [Vec::<u32>::new(), vec![], vec![]]);
        assert_eq!(graph.gone, [true, false, true]);
    }
}
