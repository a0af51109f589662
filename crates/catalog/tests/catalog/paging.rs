//! Pages: all of a list once, in order, there and back, whatever is added meanwhile.

use strongroom_catalog::clusters::{Cluster, ClusterFilter, ClusterSort};
use strongroom_catalog::{Catalog, CatalogError, Listed, Order, Page};

use crate::support::{hours, seconds};

fn names(listed: &Listed<Cluster>) -> Vec<String> {
    listed.items.iter().map(|cluster| cluster.name.clone()).collect()
}

async fn walk(
    catalog: &Catalog,
    filter: &ClusterFilter,
    first: Page,
) -> (Vec<String>, Vec<String>) {
    let limit = first.limit.unwrap();
    let mut listed = catalog.clusters(filter, &first).await.unwrap();
    assert!(listed.previous.is_none());
    let mut there = names(&listed);
    while let Some(token) = listed.next.clone() {
        listed = catalog.clusters(filter, &Page::at(token, limit)).await.unwrap();
        assert!(!listed.items.is_empty(), "no page is empty");
        there.extend(names(&listed));
    }
    let mut back = names(&listed);
    while let Some(token) = listed.previous.clone() {
        listed = catalog.clusters(filter, &Page::at(token, limit)).await.unwrap();
        back.splice(0..0, names(&listed));
    }
    (there, back)
}

on_both! {
    async fn a_list_is_walked_there_and_back(test: Test) {
        // Upper and lower case, and letters beyond ASCII: by bytes, the same on both.
        let mut expected: Vec<String> =
            "B a c Z ä é 10 2 _x".split(' ').map(str::to_owned).collect();
        for (number, name) in expected.iter().enumerate() {
            test.cluster(name).await;
            // Some of them at the same moment.
            if number % 3 == 0 {
                test.clock.advance(seconds(1));
            }
        }
        let made = expected.clone();
        expected.sort();
        for limit in [1, 2, 3, 8, 9, 10] {
            for (sort, mut expected) in
                [(ClusterSort::Name, expected.clone()), (ClusterSort::CreatedAt, made.clone())]
            {
                for order in [Order::Ascending, Order::Descending] {
                    let filter = ClusterFilter { sort: Some(sort), ..ClusterFilter::default() };
                    let first = Page::first(limit).order(order);
                    let (there, back) = walk(&test.catalog, &filter, first).await;
                    assert_eq!(there, expected, "{limit} {sort} {order}");
                    assert_eq!(back, expected, "{limit} {sort} {order}, back");
                    expected.reverse();
                }
            }
        }
    }

    async fn what_is_made_later_does_not_enter_the_pages_that_follow(test: Test) {
        for name in ["b", "d", "f"] {
            test.cluster(name).await;
        }
        let filter = ClusterFilter::default();
        let first = test.catalog.clusters(&filter, &Page::first(1)).await.unwrap();
        test.clock.advance(seconds(1));
        for name in ["a", "c", "e", "g"] {
            test.cluster(name).await;
        }
        let rest = Page::at(first.next.unwrap(), 10);
        let rest = test.catalog.clusters(&filter, &rest).await.unwrap();
        assert_eq!(names(&rest), ["d", "f"]);
        let now = test.catalog.clusters(&filter, &Page::first(10)).await.unwrap();
        assert_eq!(now.items.len(), 7);
        let before = Page { as_of: Some(first.as_of - hours(1)), ..Page::first(10) };
        assert!(test.catalog.clusters(&filter, &before).await.unwrap().items.is_empty());
    }

    async fn deleted_clusters_are_sorted_by_when_they_were(test: Test) {
        let (a, b) = (test.cluster("a").await, test.cluster("b").await);
        test.cluster("c").await;
        for cluster in [b, a] {
            test.clock.advance(seconds(1));
            let mut write = test.catalog.begin().await.unwrap();
            write.delete_cluster(cluster.id).await.unwrap();
            write.commit().await.unwrap();
        }
        let filter = ClusterFilter {
            inactive: true,
            sort: Some(ClusterSort::DeletedAt),
            ..ClusterFilter::default()
        };
        let (there, back) = walk(&test.catalog, &filter, Page::first(1)).await;
        assert_eq!(
            (there, back),
            (vec!["b".into(), "a".into(), "c".into()], vec!["b".into(), "a".into(), "c".into()])
        );
        let active = test.catalog.clusters(&ClusterFilter::default(), &Page::first(9)).await;
        assert_eq!(names(&active.unwrap()), ["c"]);
    }

    async fn a_strange_token_is_refused(test: Test) {
        for name in ["a", "b"] {
            test.cluster(name).await;
        }
        let filter = ClusterFilter::default();
        let first = test.catalog.clusters(&filter, &Page::first(1)).await.unwrap();
        let good = first.next.unwrap();
        for token in ["", "x", "é", "00", "7b7d", "+1", &good[2..], &good[..good.len() - 2]] {
            let error = test.catalog.clusters(&filter, &Page::at(token, 1)).await.unwrap_err();
            assert!(matches!(error, CatalogError::Invalid { .. }), "{token}: {error}");
        }
        let other =
            ClusterFilter { sort: Some(ClusterSort::CreatedAt), ..ClusterFilter::default() };
        let error = test.catalog.clusters(&other, &Page::at(good.clone(), 1)).await.unwrap_err();
        assert!(error.to_string().contains("another list"), "{error}");
        assert!(test.catalog.locations(None, &Page::at(good, 1)).await.is_err());
    }
}
